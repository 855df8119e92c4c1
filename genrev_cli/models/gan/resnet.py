"""The residual networks of SNGAN (Miyato et al. 2018, Table 4) and of WGAN-GP (Gulrajani et al. 2017) and WGAN-div (Wu et al. 2018).

All their generators have the form linear, up blocks, batch norm, ReLU, 3×3, tanh. Convolutions of residual branches start with gain √2,
all others with gain 1. That is SNGAN's start; gan_64x64.py in igul222/improved_wgan_training, and with it WGAN-div's code, also has √2 in
the generator's last convolution. Callers see pixels in [0, 1]; the networks use [−1, 1].
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import final

import torch
from torch import nn

from genrev_cli.models.blocks import (
    Shape,
    activated,
    bound_spectrally,
    down_block,
    first_block,
    flat_block,
    glorot,
    halved,
    maps,
    projected,
    require_norm,
    require_sizes,
    up_block,
)
from genrev_cli.models.margin import Margin
from genrev_cli.shapes import Codes, Images, Scores


@dataclass(frozen=True)
class SNGANResNetConfig:
    """image_shape: (C, H, W). latent_dim: d. width: channels of the discriminator; the generator has double."""

    image_shape: Shape
    latent_dim: int
    width: int = 128

    def __post_init__(self) -> None:
        require_sizes("sngan-resnet", self.image_shape, 3, {"latent_dim": self.latent_dim, "width": self.width})

    @property
    def channels(self) -> tuple[int, ...]:
        """The generator's channels at each size, from the coarsest to the image's."""
        return (2 * self.width,) * 4


@dataclass(frozen=True)
class WGANResNetConfig:
    """image_shape: (C, H, W). latent_dim: d.

    channels: at each size, from the coarsest to the image's, with one block between each two sizes. The default is for 64×64 pixels.
    """

    image_shape: Shape
    latent_dim: int
    channels: tuple[int, ...] = (512, 512, 256, 128, 64)

    def __post_init__(self) -> None:
        sizes = {"latent_dim": self.latent_dim, "smallest of channels": min(self.channels, default=0)}
        require_sizes("wgan-resnet", self.image_shape, max(len(self.channels) - 1, 0), sizes)


ResNetConfig = SNGANResNetConfig | WGANResNetConfig


def _margin(c: ResNetConfig) -> Margin:
    """Return the margin with which all blocks halve even sides."""
    return Margin.centred(c.image_shape, len(c.channels) - 1)


def _coarsest(c: ResNetConfig) -> Shape:
    return halved(_margin(c).grown(c.image_shape), len(c.channels) - 1, c.channels[0])


@final
class ResNetGenerator(nn.Module):
    """Linear to the coarsest features · up blocks · batch norm · ReLU · 3×3 · tanh."""

    def __init__(self, c: ResNetConfig) -> None:
        super().__init__()
        self.margin, first = _margin(c), projected(c.latent_dim, _coarsest(c))
        self.layers = nn.Sequential(
            first,
            *(up_block(a, b) for a, b in pairwise(c.channels)),
            *activated(c.channels[-1], "batch"),
            glorot(nn.Conv2d(c.channels[-1], c.image_shape[0], 3, padding=1)),
        )
        for layer in maps(first):
            glorot(layer)

    def forward(self, y: Codes) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return (torch.tanh(self.margin.crop(self.layers(y)).to(y.dtype)) + 1) / 2  # pixels, codes and scores stay in float32 under autocast


@final
class ResNetEncoder(nn.Module):
    """The generator's mirror: 3×3 · down blocks · batch norm · ReLU · linear to d."""

    def __init__(self, c: ResNetConfig) -> None:
        super().__init__()
        self.margin, channels = _margin(c), c.channels[::-1]
        self.layers = nn.Sequential(
            glorot(nn.Conv2d(c.image_shape[0], channels[0], 3, padding=1, bias=False)),
            *(down_block(a, b, "batch", bias=False) for a, b in pairwise(channels)),
            *activated(channels[-1], "batch"),
            nn.Flatten(),
            glorot(nn.Linear(prod(_coarsest(c)), c.latent_dim)),
        )

    def forward(self, x: Images) -> Codes:
        """(B, C, H, W) in [0, 1] → (B, d)."""
        return self.layers(self.margin.pad(2 * x - 1)).to(x.dtype)


@final
class SNGANResNetDiscriminator(nn.Module):
    """Two down blocks · two blocks that keep the size · ReLU · sum over pixels · linear to one (Table 4).

    Raises UsageError for an unknown norm.
    """

    def __init__(self, c: SNGANResNetConfig, norm: str = "spectral") -> None:
        super().__init__()
        require_norm(norm)
        self.margin, w = _margin(c), c.width
        self.blocks = nn.Sequential(
            first_block(c.image_shape[0], w, norm), down_block(w, w, norm), flat_block(w, norm), flat_block(w, norm), nn.ReLU()
        )
        self.head = glorot(nn.Linear(w, 1))
        if norm == "spectral":
            bound_spectrally(self)

    def forward(self, x: Images) -> Scores:
        """(B, C, H, W) in [0, 1] → (B,) logits."""
        return self.head(self.blocks(self.margin.pad(2 * x - 1)).sum(dim=(2, 3))).squeeze(1).to(x.dtype)


@final
class WGANResNetDiscriminator(nn.Module):
    """3×3 · down blocks · linear to one, with no ReLU before it (`GoodDiscriminator` in gan_64x64.py of igul222/improved_wgan_training).

    Raises UsageError for an unknown norm.
    """

    def __init__(self, c: WGANResNetConfig, norm: str = "layer") -> None:
        super().__init__()
        require_norm(norm)
        self.margin, channels = _margin(c), c.channels[::-1]
        self.layers = nn.Sequential(
            glorot(nn.Conv2d(c.image_shape[0], channels[0], 3, padding=1)),
            *(down_block(a, b, norm) for a, b in pairwise(channels)),
            nn.Flatten(),
            glorot(nn.Linear(prod(_coarsest(c)), 1)),
        )
        if norm == "spectral":
            bound_spectrally(self)

    def forward(self, x: Images) -> Scores:
        """(B, C, H, W) in [0, 1] → (B,) logits."""
        return self.layers(self.margin.pad(2 * x - 1)).squeeze(1).to(x.dtype)
