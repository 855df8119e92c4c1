"""Streams on a grid, on which floating-point sums are exact.

Every multiple of 2^−K below 2^(24−K) in magnitude is a float32 number. Sums and differences of such multiples are computed without
rounding until one leaves that range.
"""

from torch import Tensor
from torch.autograd import Function

from genrev_cli.errors import SettingError

BITS = range(8, 23)
"""Allowed K: from a step of 2⁻⁸, about one gray value, to a range of ±4."""


def grid_range(bits: int) -> float:
    """Return 2^(24−K): float32 sums of multiples of 2^−K are exact while smaller than this.

    Raises SettingError if K is not within 8 … 22.
    """
    if bits not in BITS:
        raise SettingError("exact_bits", bits, f"must be 0 (off) or {BITS[0]} to {BITS[-1]}")
    return 2.0 ** (24 - bits)


class _GridFunction(Function):
    generate_vmap_rule = True  # for torch.func's Jacobians

    @staticmethod
    def forward(x: Tensor, bits: int) -> Tensor:
        return (x * 2.0**bits).round() * 2.0**-bits

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def to_grid(x: Tensor, bits: int) -> Tensor:
    """q(x) = 2^−K round(2^K x),  ∂q/∂x := 1   (straight-through estimator, Bengio et al. 2013, arXiv:1308.3432)

    Any shape, float; K = bits. Halves round to even multiples, and no number moves by more than 2^−(K+1).
    """
    return _GridFunction.apply(x, bits)
