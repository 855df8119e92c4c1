"""The checkerboard squeeze (Schirrmeister et al. 2018, section 2.1 and Figure 2): a permutation that moves space into channels.

The pixels of every 2×2 patch at (row, column) offsets (0,0), (1,1), (0,1), (1,0) become four groups of channels, in this order. The first
half of the channels holds one colour of a checkerboard and the second half the other, so both streams cover the whole image at every depth.
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
    x = y.new_empty(batch, channels // 4, 2 * height, 2 * width)  # four writes into one buffer move half the bytes of a permute and a copy
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
        """Return the squeeze as one step."""
        return (Rearrangement(squeeze, unsqueeze),)
