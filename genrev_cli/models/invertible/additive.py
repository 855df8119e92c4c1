"""The additive coupling: add a function of one stream to the other. Subtracting the same function undoes it."""

from typing import final

import torch
from torch import Tensor, nn

from genrev_cli.models.blocks import glorot
from genrev_cli.models.invertible.coupling import Coupling
from genrev_cli.models.invertible.grid import grid_range, to_grid
from genrev_cli.models.invertible.small_maps import convolve
from genrev_cli.models.invertible.watch import Largest, watched


class ConvBranch(nn.Module):
    """F or G of a coupling: conv k×k (c → h) · ReLU · conv k×k (h → c), zero padding (Schirrmeister et al. 2018, Figure 4).

    xavier: weights start Xavier-uniform with gain 1, biases at zero (`init_model_params` in reversible/revnet.py of the authors'
    repository); else both as torch sets them, uniform in ±1/√(fan in).
    There is no normalisation or dropout, because forward pass and inverse must compute the same function.
    """

    def __init__(self, channels: int, hidden: int, kernel: int, *, xavier: bool = True) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, hidden, kernel, padding=kernel // 2)
        self.outer = nn.Conv2d(hidden, channels, kernel, padding=kernel // 2)
        for conv in (self.inner, self.outer) if xavier else ():
            glorot(conv)

    def forward(self, x: Tensor) -> Tensor:
        return convolve(self.outer, torch.relu_(convolve(self.inner, x)))


@final
class AdditiveCoupling(Coupling):
    """y₁ = x₁ + F(x₂),  y₂ = x₂ + G(y₁)   (eq. 1);   x₂ = y₂ − G(y₁),  x₁ = y₁ − F(x₂)   (eq. 2 of Schirrmeister et al. 2018).

    It preserves volume. Under autocast F and G run in bfloat16 and the streams stay in float32: rounding F does not harm the inverse,
    rounding a stream does.

    exact_bits: K rounds F and G to multiples of 2^−K (`grid.py`). Float32 streams on this grid then stay on it, and eq. 2 undoes eq. 1
    to the bit, while every |stream| is below 2^(24−K) and the branches are deterministic. 0: off.
    Raises UsageError for a K other than 0 and 8 … 22.
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
        """Return h, rounded to the grid if exact_bits is on."""
        return to_grid(output.to(dtype), self.exact_bits) if self.exact_bits else output

    def log_det(self, h: Tensor) -> None:
        """Return None: log |det| is 0."""

    def take_largest(self) -> Tensor | None:
        """Return the largest output magnitude in both directions since the last call; None if `exact_bits` is off."""
        return self.largest.take()

    def _seen(self, stream: Tensor) -> Tensor:
        return watched(stream, self.largest) if self.exact_bits else stream
