"""Check that the inverse stays exact: with --memory reversible, gradients are wrong when recomputed inputs are wrong."""

from collections.abc import Iterable

import torch
from torch import nn

from genrev_cli.errors import DivergedError
from genrev_cli.models import Bijection
from genrev_cli.precision import CAUSES

ROUNDTRIP = "roundtrip_backward"
"""The largest error of a recomputed input."""
LARGEST = "largest_stream"
"""The largest number in the streams of a network with --exact-bits."""
WATCHED = (ROUNDTRIP, LARGEST)

LARGEST_WEIGHT = 1e8
"""A weight beyond this has diverged, even if saturated outputs keep every loss finite, as with a GAN's learning rate of 1e12."""

WARN, REFUSE = 1e-4, 1e-2
"""Round-trip errors in float32: above WARN, rounding does not explain them; above REFUSE, gradients have relative errors beyond 1e-2."""


def require_small_weights(modules: Iterable[nn.Module], step: int) -> None:
    """Raise DivergedError when a weight is beyond `LARGEST_WEIGHT` or not finite. It waits for the device once."""
    weights = [parameter.detach() for module in modules for parameter in module.parameters()]
    if not weights:
        return
    largest = torch.stack([weight.abs().amax().float() for weight in weights if weight.numel()]).amax().item()
    if not largest <= LARGEST_WEIGHT:
        raise DivergedError(
            f"a weight has grown to {largest:.1e} by step {step}; "
            "what was saved before is unchanged; try a lower learning rate, with --restart"
        )


def require_inverse(numbers: dict[str, float], step: int, precision: str) -> None:
    """Raise DivergedError when a backward pass recomputed its input with an error above `REFUSE`. precision: that of the run."""
    if (error := numbers.get(ROUNDTRIP, 0.0)) > REFUSE:
        raise DivergedError(
            f"the inverse missed its input by {error:.1e} before step {step}, so gradients of --memory reversible are wrong "
            f"(limit {REFUSE:g}){_cause(precision)}; resume from the last saved state with --memory plain, "
            f"or start again with {'a lower learning rate' if precision == 'fp32' else '--precision fp32'}"
        )


def warnings_of(numbers: dict[str, float], model: Bijection, precision: str) -> dict[str, str]:
    """Return warnings about the inverse of a network, from the numbers of a log line: kind → a sentence.

    precision: that of the run. Rounding explains errors up to `WARN` in IEEE float32, and up to `REFUSE` in tf32 and bf16.
    """
    found = {}
    error = max(numbers.get(ROUNDTRIP, 0.0), numbers.get("roundtrip_max", 0.0))
    if precision == "fp32" and error > WARN:
        found["roundtrip"] = f"the round trip misses its input by {error:.1e}, more than rounding does; weights or codes are growing large"
    if precision != "fp32" and error > REFUSE:
        found["roundtrip"] = f"the round trip misses its input by {error:.1e}{_cause(precision)}; --precision fp32 is exact up to rounding"
    if (largest := numbers.get(LARGEST, 0.0)) >= model.grid_range:
        found["range"] = f"a stream has reached {largest:.3g}, so the inverse is not exact any more; fewer --exact-bits have a wider range"
    return found


def _cause(precision: str) -> str:
    return f", because {CAUSES[precision]}" if precision in CAUSES else ""
