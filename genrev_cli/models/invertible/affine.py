"""The affine coupling (Nguyen, Ardizzone & Köthe 2019, eq. 1–4): each stream is scaled and shifted by functions of the other."""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_

from genrev_cli.models.invertible.chain import Invertible, Streams

SLOPE = 0.1
"""Of the leaky ReLUs (section 3.1)."""


class AffineConvBranch(nn.Module):
    """One network for scale and shift: conv 3×3 (c → h) · LeakyReLU · conv 3×3 (h → h) · LeakyReLU · conv 1×1 (h → 2c).

    The activations work in place: they save their input otherwise and the next convolution its own, which is twice the memory.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, 2 * channels, 1)
        initialise_as_identity(self, self.conv3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, c, H, W) → s and t, each (B, c, H, W)."""
        h = leaky_relu_(self.conv1(x), SLOPE)
        h = leaky_relu_(self.conv2(h), SLOPE)
        s, t = self.conv3(h).chunk(2, dim=1)
        return s, t


class AffineDenseBranch(nn.Module):
    """Two networks, for scale and for shift, on a stream as one vector: linear (n → h) · ReLU · linear (h → n)."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.s1, self.s2 = nn.Linear(size, hidden), nn.Linear(hidden, size)
        self.t1, self.t2 = nn.Linear(size, hidden), nn.Linear(hidden, size)
        initialise_as_identity(self, self.s2, self.t2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, c, H, W) with c·H·W = n → s and t, each (B, c, H, W)."""
        flat = x.flatten(1)
        s = self.s2(torch.relu_(self.s1(flat)))
        t = self.t2(torch.relu_(self.t1(flat)))
        return s.view(x.shape), t.view(x.shape)


def initialise_as_identity(branch: nn.Module, *last: nn.Module) -> None:
    """N(0, 0.1²) for every number, 0 in the last layers (the authors' code): s = t = 0, so that a coupling begins as the identity."""
    for parameter in branch.parameters():
        nn.init.normal_(parameter, std=0.1)
    for layer in last:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


class AffineCoupling(Invertible):
    """y₁ = x₁ ⊙ exp(s₂(x₂)) + t₂(x₂),  y₂ = x₂ ⊙ exp(s₁(y₁)) + t₁(y₁)   (eq. 1, 2);   F = (s₂, t₂), G = (s₁, t₁).

    The scale is softly clamped: s → clamp · 0.636 · atan(s / clamp), where 0.636 ≈ 2/π, so exp(s) stays within exp(±clamp).
    (The authors' dense coupling does not divide by the clamp; theirs is 1, where that is the same.)
    log |det| = Σ s₂ + Σ s₁.
    """

    def __init__(self, F: nn.Module, G: nn.Module, clamp: float) -> None:
        super().__init__()
        self.F = F
        self.G = G
        self.clamp = clamp

    def forward(self, streams: Streams) -> Streams:
        """(x₁, x₂) → (y₁, y₂)   (eq. 1, 2)"""
        return self._forward(streams)[0]

    def inverse(self, streams: Streams) -> Streams:
        """x₂ = (y₂ − t₁(y₁)) ⊙ exp(−s₁(y₁)),  x₁ = (y₁ − t₂(x₂)) ⊙ exp(−s₂(x₂))   (eq. 3, 4)"""
        return self._inverse(streams)[0]

    def forward_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        out, s2, s1 = self._forward(streams)
        return out, s2.flatten(1).sum(1) + s1.flatten(1).sum(1)

    def inverse_log_det(self, streams: Streams) -> tuple[Streams, Tensor]:
        out, s2, s1 = self._inverse(streams)
        return out, -(s2.flatten(1).sum(1) + s1.flatten(1).sum(1))

    def _forward(self, streams: Streams) -> tuple[Streams, Tensor, Tensor]:
        x1, x2 = streams
        s2, t2 = self._scale_and_shift(self.F, x2)
        y1 = x1 * s2.exp() + t2
        s1, t1 = self._scale_and_shift(self.G, y1)
        y2 = x2 * s1.exp() + t1
        return (y1, y2), s2, s1

    def _inverse(self, streams: Streams) -> tuple[Streams, Tensor, Tensor]:
        y1, y2 = streams
        s1, t1 = self._scale_and_shift(self.G, y1)
        x2 = (y2 - t1) * (-s1).exp()
        s2, t2 = self._scale_and_shift(self.F, x2)
        x1 = (y1 - t2) * (-s2).exp()
        return (x1, x2), s2, s1

    def _scale_and_shift(self, branch: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        # in the streams' float32 also where the branch ran in bfloat16, in which exp(s)·exp(−s) misses 1 by 2e-3
        s, t = (part.to(x.dtype) for part in branch(x))
        return self.clamp * 0.636 * torch.atan(s / self.clamp), t
