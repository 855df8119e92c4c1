"""The Haar squeeze (code of Nguyen, Ardizzone & Köthe 2019): an orthonormal wavelet moves space into channels.

Every 2×2 patch (p q / r s) becomes four channels:

    ½ (p + q + r + s),   ½ (p − q + r − s),   ½ (p + q − r − s),   ½ (p − q − r + s)

The matrix is symmetric and its own inverse, so its determinant is ±1 and one butterfly computes both directions. The four channels made
from one channel stay together, as in the authors' code, so couplings split an image into the same halves as there.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from genrev_cli.models.invertible.layer import Invertible, Rearrangement, Step
from genrev_cli.models.invertible.orthogonal import Orthogonal


def _butterfly(p: Tensor, q: Tensor, r: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Transform in eight additions instead of twelve. Halving first is exact and saves a pass over the results."""
    p, q, r, s = p / 2, q / 2, r / 2, s / 2
    top_sum, top_difference, bottom_sum, bottom_difference = p + q, p - q, r + s, r - s
    return top_sum + bottom_sum, top_difference + bottom_difference, top_sum - bottom_sum, top_difference - bottom_difference


class _HaarFunction(Orthogonal):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        patch = [x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return torch.stack(_butterfly(*patch), dim=2).flatten(1, 2)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _UnhaarFunction.apply(gradient)


class _UnhaarFunction(Orthogonal):
    @staticmethod
    def forward(y: Tensor) -> Tensor:
        batch, channels, height, width = y.shape
        x = y.new_empty(batch, channels // 4, 2 * height, 2 * width)
        patch = _butterfly(*(y[:, part::4] for part in range(4)))
        for part, (row, column) in zip(patch, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
            x[:, :, row::2, column::2] = part
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _HaarFunction.apply(gradient)


def haar(x: Tensor) -> Tensor:
    """(B, c, 2H, 2W) → (B, 4c, H, W). It preserves norms."""
    return _HaarFunction.apply(x)


def unhaar(y: Tensor) -> Tensor:
    """(B, 4c, H, W) → (B, c, 2H, 2W), the inverse of `haar` up to rounding."""
    return _UnhaarFunction.apply(y)


@final
class Haar(Invertible):
    """The Haar squeeze on each of two streams; on the joined streams it would give the same."""

    def steps(self) -> Sequence[Step]:
        """Return the Haar squeeze as one step."""
        return (Rearrangement(haar, unhaar),)
