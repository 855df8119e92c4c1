"""Invertible layers one after another.

A layer maps a pair of streams (a, b), each (B, c, H, W), to another pair. Keeping the pair, instead of joining and splitting it
around every block, saves two copies of the activations per block.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TypeAlias

from torch import Tensor, nn

Streams: TypeAlias = tuple[Tensor, Tensor]


class Invertible(nn.Module, ABC):
    """A bijection on pairs of streams: inverse(forward(s)) == s up to rounding."""

    @abstractmethod
    def forward(self, streams: Streams) -> Streams:
        """Image side → latent side."""

    @abstractmethod
    def inverse(self, streams: Streams) -> Streams:
        """Latent side → image side."""


class Chain(Invertible):
    """Layers in order; its inverse runs their inverses in reverse order."""

    def __init__(self, layers: Iterable[Invertible]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, streams: Streams) -> Streams:
        for layer in self.layers:
            streams = layer(streams)
        return streams

    def inverse(self, streams: Streams) -> Streams:
        for layer in reversed(self.layers):
            streams = layer.inverse(streams)
        return streams
