"""Streams on a grid, where sums of floating-point numbers are exact.

Multiples of 2^−K smaller than 2^(24−K) in magnitude are float32 numbers, all of them, so their sums and differences are
computed without rounding until one leaves that range.
"""

from torch import Tensor
from torch.autograd import Function

from genrev_cli.errors import UsageError

BITS = range(8, 23)
"""From a step of 2⁻⁸, the one between two gray values, to a range of ±4."""


def grid_range(bits: int) -> float:
    """2^(24−K): float32 sums of multiples of 2^−K are exact while smaller than this.

    Raises UsageError when K is not within 8 … 22.
    """
    if bits not in BITS:
        raise UsageError(f"exact_bits = {bits} must be 0 (off) or within {BITS[0]} … {BITS[-1]}")
    return 2.0 ** (24 - bits)


class _GridFunction(Function):
    generate_vmap_rule = True  # for torch.func's Jacobians

    @staticmethod
    def forward(x: Tensor, bits: int) -> Tensor:
        return (x * 2.0**bits).round() * 2.0**-bits

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def to_grid(x: Tensor, bits: int) -> Tensor:
    """q(x) = 2^−K round(2^K x),  ∂q/∂x := 1   (the straight-through gradient of Bengio, Léonard & Courville 2013).

    Any shape, float; K = bits. Halves go to even multiples, and no number moves by more than 2^−(K+1).
    """
    return _GridFunction.apply(x, bits)
