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
    """A bijection on pairs of streams: inverse(forward(s)) == s up to rounding.

    The log-determinants are log |det ∂output/∂input| per image; `forward` and `inverse` alone compute nothing of them.
    """

    @abstractmethod
    def forward(self, streams: Streams) -> Streams:
        """Image side → latent side."""

    @abstractmethod
    def inverse(self, streams: Streams) -> Streams:
        """Latent side → image side."""

    @abstractmethod
    def forward_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        """`forward`, and its log-determinant (B,)."""

    @abstractmethod
    def inverse_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        """`inverse`, and its log-determinant (B,): minus that of `forward` at the same pair of points."""


class VolumePreserving(Invertible):
    """A bijection whose determinant is ±1 everywhere: a permutation, a rotation, a shear."""

    def forward_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        return self(streams), streams[0].new_zeros(len(streams[0]))

    def inverse_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        return self.inverse(streams), streams[0].new_zeros(len(streams[0]))


class Chain(Invertible):
    """Layers in order; its inverse runs their inverses in reverse order, and log-determinants add up."""

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

    def forward_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        total = streams[0].new_zeros(len(streams[0]))
        for layer in self.layers:
            streams, log_det = layer.forward_log_det(streams)
            total = total + log_det
        return streams, total

    def inverse_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        total = streams[0].new_zeros(len(streams[0]))
        for layer in reversed(self.layers):
            streams, log_det = layer.inverse_log_det(streams)
            total = total + log_det
        return streams, total
