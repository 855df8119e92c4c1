"""The additive coupling: one stream changes by a function of the other, so subtracting the same function undoes it."""

import torch
from torch import Tensor, nn

from genrev_cli.models.invertible.chain import Streams, VolumePreserving


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
        return self.outer(torch.relu_(self.inner(x)))


class AdditiveCoupling(VolumePreserving):
    """y₁ = F(x₂) + x₁,  y₂ = G(y₁) + x₂   (eq. 1);   x₂ = y₂ − G(y₁),  x₁ = y₁ − F(x₂)   (eq. 2).

    Volume preserving. Under autocast F and G run in bfloat16 and the streams stay in float32, because a rounded *stream* is lost
    for the inverse and a rounded F is not.
    """

    def __init__(self, F: nn.Module, G: nn.Module) -> None:
        super().__init__()
        self.F = F
        self.G = G

    def forward(self, streams: Streams) -> Streams:
        """(x₁, x₂) → (y₁, y₂)   (eq. 1)"""
        x1, x2 = streams
        y1 = x1 + self.F(x2)
        y2 = x2 + self.G(y1)
        return y1, y2

    def inverse(self, streams: Streams) -> Streams:
        """(y₁, y₂) → (x₁, x₂)   (eq. 2)"""
        y1, y2 = streams
        x2 = y2 - self.G(y1)
        x1 = y1 - self.F(x2)
        return x1, x2
