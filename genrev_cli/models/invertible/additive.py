"""The additive coupling: one stream changes by a function of the other, so subtracting the same function undoes it."""

from typing import final

import torch
from torch import Tensor, nn

from genrev_cli.models.invertible.coupling import Coupling
from genrev_cli.models.invertible.grid import grid_range, to_grid
from genrev_cli.models.invertible.small_maps import convolve
from genrev_cli.models.invertible.watch import Largest, watched


class ConvBranch(nn.Module):
    """F or G of a coupling: conv k×k (c → h) · ReLU · conv k×k (h → c), zero padding, with biases (A1, Fig. 4).

    Xavier-uniform weights with gain 1, zero biases (A1).
    Without normalisation or dropout: the inverse must see the very function that the forward pass saw.
    """

    def __init__(self, channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, hidden, kernel, padding=kernel // 2)
        self.outer = nn.Conv2d(hidden, channels, kernel, padding=kernel // 2)
        for conv in (self.inner, self.outer):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return convolve(self.outer, torch.relu_(convolve(self.inner, x)))


@final
class AdditiveCoupling(Coupling):
    """y₁ = x₁ + F(x₂),  y₂ = x₂ + G(y₁)   (eq. 1);   x₂ = y₂ − G(y₁),  x₁ = y₁ − F(x₂)   (eq. 2).

    Volume preserving. Under autocast F and G run in bfloat16 and the streams stay in float32, because a rounded *stream* is lost
    for the inverse and a rounded F is not.

    exact_bits: K rounds F and G to multiples of 2^−K (`grid.py`). Float32 streams that are such multiples then stay such, and eq. 2
    undoes eq. 1 to the bit, as long as no |stream| reaches 2^(24−K) and the branches are deterministic. 0: off.
    Raises UsageError for another K than 0 and 8 … 22.
    """

    def __init__(self, F: nn.Module, G: nn.Module, exact_bits: int = 0) -> None:
        super().__init__(F, G)
        if exact_bits:
            grid_range(exact_bits)
        self.exact_bits = exact_bits
        self.largest = Largest()

    def combine(self, x: Tensor, h: Tensor) -> Tensor:
        """x + h   (eq. 1)"""
        return self._seen(x + h)

    def separate(self, y: Tensor, h: Tensor) -> Tensor:
        """y − h   (eq. 2)"""
        return self._seen(y - h)

    def terms(self, output: Tensor, dtype: torch.dtype) -> Tensor:
        """h, on the grid if there is one."""
        return to_grid(output.to(dtype), self.exact_bits) if self.exact_bits else output

    def log_det(self, h: Tensor) -> None:
        """A shear: 0."""

    def take_largest(self) -> Tensor | None:
        """Of its outputs in either direction, where `exact_bits` is on."""
        return self.largest.take()

    def _seen(self, stream: Tensor) -> Tensor:
        return watched(stream, self.largest) if self.exact_bits else stream
