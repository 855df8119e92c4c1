"""How the networks of a training stage are run: what they keep for the backward pass, whose batch they see, how they lie in memory."""

import torch
import torch._functorch.config

from genrev_cli.errors import UsageError
from genrev_cli.models import MEMORY, Autoencoder, Bijection
from genrev_cli.models.invertible import to_grid
from genrev_cli.precision import ieee_float32
from genrev_cli.shapes import Images
from genrev_cli.stages.job import RunOptions, Schedule
from genrev_cli.training.batch_norm import share_statistics
from genrev_cli.training.method import Method

_VARIANTS = 256
"""How often one piece of code may be compiled: all branches of a network share theirs, with and without gradients."""


def execute(method: Method, schedule: Schedule, options: RunOptions) -> None:
    """Make the networks of a method run as the options say; called before the first step.

    Raises UsageError where memory is to be saved by an inverse that there is not.
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
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _VARIANTS)
        torch._functorch.config.donated_buffer = False  # two losses may go back through one graph
        for network in autoencoder.networks():
            network.compile()


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
