"""The Haar squeeze (Nguyen, Ardizzone & Köthe 2019): space into channels by an orthonormal wavelet.

Of every 2×2 patch (p q / r s) four channels are made, ½ of

    p + q + r + s,   p − q + r − s,   p + q − r − s,   p − q − r + s

The matrix is symmetric and its own inverse, so its determinant is ±1 and one butterfly serves both ways. The four channels of a
channel stay together, as in the authors' code: then the first half of an image's channels, which couplings split off, is the same as there.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from genrev_cli.models.invertible.layer import Invertible, Rearrangement, Step
from genrev_cli.models.invertible.orthogonal import Orthogonal


def _butterfly(p: Tensor, q: Tensor, r: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Eight additions instead of twelve; halved first, which is exact, so that nothing is written twice."""
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
    """(B, c, 2H, 2W) → (B, 4c, H, W); norms are kept."""
    return _HaarFunction.apply(x)


def unhaar(y: Tensor) -> Tensor:
    """(B, 4c, H, W) → (B, c, 2H, 2W), the inverse of `haar` up to rounding."""
    return _UnhaarFunction.apply(y)


@final
class Haar(Invertible):
    """The Haar squeeze on each of two streams, which is that of the two joined."""

    def steps(self) -> Sequence[Step]:
        """One rotation."""
        return (Rearrangement(haar, unhaar),)
