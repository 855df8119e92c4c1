"""The checkerboard squeeze (Schirrmeister et al. 2018, Fig. 2): space into channels, a permutation of the values.

Of every 2×2 patch the pixels at (row, column) offsets (0,0), (1,1), (0,1), (1,0) become four channel groups in this order, so
that the first half of the channels is one colour of a checkerboard and the second half the other: both streams cover the
whole image, at every depth.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from genrev_cli.models.invertible.layer import Invertible, Rearrangement, Step
from genrev_cli.models.invertible.orthogonal import Orthogonal

_OFFSETS = ((0, 0), (1, 1), (0, 1), (1, 0))


def _gather(x: Tensor) -> Tensor:
    return torch.cat([x[:, :, row::2, column::2] for row, column in _OFFSETS], dim=1)


def _scatter(y: Tensor) -> Tensor:
    batch, channels, height, width = y.shape
    x = y.new_empty(batch, channels // 4, 2 * height, 2 * width)  # four writes into one buffer: half the traffic of a permute and a copy
    for part, (row, column) in zip(y.chunk(4, dim=1), _OFFSETS, strict=True):
        x[:, :, row::2, column::2] = part
    return x


class _SqueezeFunction(Orthogonal):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _gather(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _UnsqueezeFunction.apply(gradient)


class _UnsqueezeFunction(Orthogonal):
    @staticmethod
    def forward(y: Tensor) -> Tensor:
        return _scatter(y)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _SqueezeFunction.apply(gradient)


def squeeze(x: Tensor) -> Tensor:
    """(B, c, 2H, 2W) → (B, 4c, H, W)."""
    return _SqueezeFunction.apply(x)


def unsqueeze(y: Tensor) -> Tensor:
    """(B, 4c, H, W) → (B, c, 2H, 2W), the inverse of `squeeze` to the bit."""
    return _UnsqueezeFunction.apply(y)


@final
class Squeeze(Invertible):
    """The squeeze on each of two streams."""

    def steps(self) -> Sequence[Step]:
        """One permutation."""
        return (Rearrangement(squeeze, unsqueeze),)
