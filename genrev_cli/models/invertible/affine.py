"""The affine coupling (Nguyen, Ardizzone & Köthe 2019, eq. 1–4): each stream is scaled and shifted by functions of the other."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_

from genrev_cli.models.invertible.coupling import Coupling

SLOPE = 0.1
"""Slope of the leaky ReLUs (section 3.1)."""


class AffineConvBranch(nn.Module):
    """One network for scale and shift: conv 3×3 (c → h) · LeakyReLU · conv 3×3 (h → h) · LeakyReLU · conv 1×1 (h → 2c).

    The activations work in place. Otherwise their input would be kept besides the next convolution's input, which doubles the memory.
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
    """Two networks, one for scale and one for shift, on the flattened stream: linear (n → h) · ReLU · linear (h → n)."""

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
    """Draw parameters from N(0, 0.1²) and set the last layers to 0 (the authors' code): s = t = 0, the coupling is the identity."""
    for parameter in branch.parameters():
        nn.init.normal_(parameter, std=0.1)
    for layer in last:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


@final
class AffineCoupling(Coupling):
    """y₁ = x₁ ⊙ exp(s₂(x₂)) + t₂(x₂),  y₂ = x₂ ⊙ exp(s₁(y₁)) + t₁(y₁)   (eq. 1, 2);   F = (s₂, t₂), G = (s₁, t₁).

    x₂ = (y₂ − t₁(y₁)) ⊙ exp(−s₁(y₁)),  x₁ = (y₁ − t₂(x₂)) ⊙ exp(−s₂(x₂))   (eq. 3, 4);   log |det| = Σ s₂ + Σ s₁.

    The scale is softly clamped: s → clamp · 0.636 · atan(s / clamp), where 0.636 ≈ 2/π, so exp(s) stays within exp(±clamp).
    The authors' dense coupling does not divide by the clamp; with their clamp of 1 the result is the same.
    """

    def __init__(self, F: nn.Module, G: nn.Module, clamp: float) -> None:
        super().__init__(F, G)
        self.clamp = clamp

    def combine(self, x: Tensor, h: tuple[Tensor, Tensor]) -> Tensor:
        """x ⊙ exp(s) + t   (eq. 1, 2)"""
        s, t = h
        return x * s.exp() + t

    def separate(self, y: Tensor, h: tuple[Tensor, Tensor]) -> Tensor:
        """(y − t) ⊙ exp(−s)   (eq. 3, 4)"""
        s, t = h
        return (y - t) * (-s).exp()

    def terms(self, output: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return s, clamped, and t."""
        # computed in the streams' float32 even if the branch ran in bfloat16, where exp(s)·exp(−s) differs from 1 by 2e-3
        s, t = (part.to(dtype) for part in output)
        return self.clamp * 0.636 * torch.atan(s / self.clamp), t

    def log_det(self, h: tuple[Tensor, Tensor]) -> Tensor:
        """Σ s"""
        s, _ = h
        return s.flatten(1).sum(1)
