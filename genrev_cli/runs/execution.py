"""Set up how networks run in training: memory for the backward pass, batch norm over processes, memory order, compilation."""

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
"""How often torch may compile one piece of code, which all branches of a network share. It is compiled for each shape of a branch, again
for the backward pass of --memory reversible, for the image (it needs no gradient) and for the halves of a latent (they have other strides).
The CelebA network needs 8 compilations, 15 with --memory reversible."""


def execute(method: Method, schedule: Schedule, options: RunOptions) -> None:
    """Make the networks of a method run as the options say; call it before the first step.

    Raises UsageError when --memory needs an invertible network and there is none, and when a method needs derivatives of derivatives and
    the options exclude them; FileError when compiled code cannot be kept.
    """
    autoencoder = getattr(method, "autoencoder", None)
    if method.second_order:
        _require_second_derivatives(schedule, options)
    if schedule.memory != MEMORY[0]:
        if not isinstance(autoencoder, Bijection):
            name = f"'{autoencoder.config['name']}'" if autoencoder else "a classifier"
            raise UsageError(
                f"--memory {schedule.memory}: needs an invertible network, and {name} is not; use revnet or inn, or leave --memory out"
            )
        autoencoder.memory = schedule.memory
    for module in method.modules.values():
        share_statistics(module)
    if options.channels_last == "on" or (options.channels_last == "auto" and _faster_with_channels_last(autoencoder)):
        for module in method.modules.values():
            module.to(memory_format=torch.channels_last)
    if options.compile and isinstance(autoencoder, Autoencoder):
        _compile(autoencoder.networks())


def _faster_with_channels_last(autoencoder: object) -> bool:
    """Return True on a CPU for an invertible network: a step takes 0.7 to 1.03 of the time, that of other networks the same."""
    return isinstance(autoencoder, Bijection) and next(autoencoder.parameters()).device.type == "cpu"


def _require_second_derivatives(schedule: Schedule, options: RunOptions) -> None:
    given = "--memory reversible" if schedule.memory == "reversible" else "--compile" if options.compile else ""
    if given:
        raise UsageError(f"{given}: has no derivatives of derivatives, which weight_nll and weight_gradient need; leave it out")


def _compile(networks: Sequence[nn.Module]) -> None:
    """Compile each network at its first call; networks of the same shapes share one compilation.

    dynamic=False: otherwise, at the second shape that it sees, torch compiles a slower variant for any size.
    Compiled code is kept for later runs in the cache folder, or in $TORCHINDUCTOR_CACHE_DIR.
    Raises FileError when that folder is not writable.
    """
    folder = os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    require_writable(Path(folder, "code"), "set GENREV_CACHE to another folder, or leave out --compile")
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _VARIANTS)
    torch._functorch.config.donated_buffer = False  # two losses may go back through one graph
    for network in networks:
        network.compile(dynamic=False)


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that its networks run uncompiled; else torch would compile them for each of its batch sizes."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.compiler.set_stance("force_eager"):
            return function(*args, **kwargs)

    return run


@uncompiled
@torch.no_grad()
def effect_of_precision(method: Method, precision: str, x: Images) -> str:
    """Return a sentence on how much --precision changes the round trip of a method's network; '' for fp32 or without an exact inverse.

    x: (B, C, H, W), some images on the method's device. The round trip is measured on them with the current weights.
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
    """Return max |x − R⁻¹(R(x))|; with --exact-bits, x is rounded to the grid first."""
    bits = getattr(autoencoder, "exact_bits", 0)
    return (autoencoder.decode(autoencoder.encode(x)) - (to_grid(x, bits) if bits else x)).abs().max().item()
