"""Watching that an inverse stays one: reversible back-propagation recomputes what it differentiates, and is wrong where that is."""

from genrev_cli.errors import DivergedError
from genrev_cli.models import Bijection

ROUNDTRIP = "roundtrip_backward"
"""The largest error of a recomputed input."""
LARGEST = "largest_stream"
"""The largest number of the streams of a network on a grid."""
WATCHED = (ROUNDTRIP, LARGEST)

WARN, REFUSE = 1e-4, 1e-2
"""Round-trip errors in float32: what rounding does not explain, and what spoils gradients (relative errors beyond 1e-2)."""


def require_inverse(numbers: dict[str, float], step: int) -> None:
    """Raise DivergedError where a backward pass recomputed its input with an error above `REFUSE`."""
    if (error := numbers.get(ROUNDTRIP, 0.0)) > REFUSE:
        raise DivergedError(
            f"the inverse missed its input by {error:.1e} before step {step}, so gradients of --memory reversible are wrong "
            f"(limit {REFUSE:g}); go on from the last saved state with --memory plain, or begin anew with a lower learning rate"
        )


def warnings_of(numbers: dict[str, float], model: Bijection, precision: str) -> dict[str, str]:
    """What among the numbers of a look says that the inverse of a network is no longer one: kind → a sentence.

    precision: of the run; with bf16 branches round-trip errors up to 1e-2 are those of the branches, and are not warned of.
    """
    found = {}
    error = max(numbers.get(ROUNDTRIP, 0.0), numbers.get("roundtrip_max", 0.0))
    if precision == "fp32" and error > WARN:
        found["roundtrip"] = f"the round trip misses its input by {error:.1e}, more than rounding does; weights or codes are growing large"
    if (largest := numbers.get(LARGEST, 0.0)) >= model.grid_range:
        found["range"] = f"a stream has reached {largest:.3g}, so the inverse is not exact any more; fewer --exact-bits have a wider range"
    return found
