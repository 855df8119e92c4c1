"""How the networks of a training stage are run: what they keep for the backward pass, whose batch they see, how they lie in memory."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch
import torch._functorch.config
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.files.cache import cache_folder
from genrev_cli.files.targets import require_writable
from genrev_cli.models import MEMORY, Autoencoder, Bijection
from genrev_cli.models.invertible import to_grid
from genrev_cli.precision import ieee_float32
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.shapes import Images
from genrev_cli.training.batch_norm import share_statistics
from genrev_cli.training.method import Method

P = ParamSpec("P")
R = TypeVar("R")

_VARIANTS = 256
"""How often one piece of code may be compiled: all branches of a network share theirs. What it is compiled for are the shapes of branches,
forward and, with --memory reversible, again in the backward pass; the image, which needs no gradient; the halves of a latent, which lie
apart in memory. The CelebA network needs 8 compilations, 15 with --memory reversible."""


def execute(method: Method, schedule: Schedule, options: RunOptions) -> None:
    """Make the networks of a method run as the options say; called before the first step.

    Raises UsageError where memory is to be saved by an inverse that there is not, FileError where compiled code cannot be kept.
    """
    autoencoder = getattr(method, "autoencoder", None)
    if schedule.memory != MEMORY[0]:
        if not isinstance(autoencoder, Bijection):
            name = f"'{autoencoder.config['name']}'" if autoencoder else "a classifier"
            raise UsageError(
                f"--memory {schedule.memory}: needs an invertible network, and {name} is none; take revnet or inn, or leave it out"
            )
        autoencoder.memory = schedule.memory
    for module in method.modules.values():
        share_statistics(module)
    if options.channels_last:
        for module in method.modules.values():
            module.to(memory_format=torch.channels_last)
    if options.compile and isinstance(autoencoder, Autoencoder):
        _compile(autoencoder.networks())


def _compile(networks: Sequence[nn.Module]) -> None:
    """Compile each network when it is first called; networks of the same shapes share one compilation.

    dynamic=False: torch would take the second shape that it sees for a sign of sizes that vary, and compile a slower variant for any.
    What is compiled is kept for later runs in the cache folder, or in $TORCHINDUCTOR_CACHE_DIR.
    Raises FileError when that folder cannot be written to.
    """
    folder = os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    require_writable(Path(folder, "code"), "set GENREV_CACHE to another place, or leave out --compile")
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _VARIANTS)
    torch._functorch.config.donated_buffer = False  # two losses may go back through one graph
    for network in networks:
        network.compile(dynamic=False)


def uncompiled(look: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that evaluates networks, so that they run uncompiled: each of its batch sizes would be compiled."""

    @functools.wraps(look)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.compiler.set_stance("force_eager"):
            return look(*args, **kwargs)

    return run


@uncompiled
@torch.no_grad()
def effect_of_precision(method: Method, precision: str, x: Images) -> str:
    """Return a sentence on what another precision than fp32 does to the round trip of a method's network; '' where it has no exact one.

    x: some images, (B, C, H, W) on the method's device. It is measured on them, at the weights of now.
    """
    autoencoder = getattr(method, "autoencoder", None)
    if precision == "fp32" or not isinstance(autoencoder, Bijection):
        return ""
    with method.autocast():
        rounded = _roundtrip_error(autoencoder, x)
    with ieee_float32():
        exact = _roundtrip_error(autoencoder, x)
    return f"--precision {precision}: the round trip of this network misses its input by {rounded:.1e} at most, in float32 by {exact:.1e}"


def _roundtrip_error(autoencoder: Bijection, x: Images) -> float:
    """max |x − R⁻¹(R(x))|, on a grid from what the grid makes of x."""
    bits = getattr(autoencoder, "exact_bits", 0)
    return (autoencoder.decode(autoencoder.encode(x)) - (to_grid(x, bits) if bits else x)).abs().max().item()
