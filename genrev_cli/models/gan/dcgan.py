"""The networks of DCGAN (Radford et al. 2016, Figure 1), as WGAN-GP and WGAN-div train them on 64×64 pixels.

There are w = 64 channels at half the image's size and twice as many after each further halving. Kernels are 5×5.
Callers see pixels in [0, 1]; the networks use [−1, 1].
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import final

import torch
from torch import nn

from genrev_cli.models.blocks import (
    Shape,
    bound_spectrally,
    convolution,
    doubling,
    gaussian,
    halved,
    maps,
    projected,
    require_norm,
    require_sizes,
    transposed,
)
from genrev_cli.models.margin import Margin
from genrev_cli.shapes import Codes, Images, Scores

KERNEL = 5
SLOPE = 0.2  # Radford et al. 2016 and Gulrajani et al. 2017; the code of Wu et al. 2018 has ReLU


@dataclass(frozen=True)
class DCGANConfig:
    """image_shape: (C, H, W). latent_dim: d. width: w; the paper has 128, the code of WGAN-GP and WGAN-div 64.

    stages: number of halvings.
    """

    image_shape: Shape
    latent_dim: int
    width: int = 64
    stages: int = 4

    def __post_init__(self) -> None:
        sizes = {"latent_dim": self.latent_dim, "width": self.width, "stages": self.stages}
        require_sizes("dcgan", self.image_shape, max(self.stages, 0), sizes)

    @property
    def channels(self) -> list[int]:
        """Channels from the image to the coarsest features: C, w, 2w, …"""
        return [self.image_shape[0], *(self.width << i for i in range(self.stages))]

    @property
    def margin(self) -> Margin:
        """Return the margin with which all layers halve even sides."""
        return Margin.centred(self.image_shape, self.stages)

    @property
    def coarsest(self) -> Shape:
        """Shape of the coarsest features: (8w, H'/16, W'/16) with four stages, of images with their margin."""
        return halved(self.margin.grown(self.image_shape), self.stages, self.channels[-1])


@final
class DCGANGenerator(nn.Module):
    """Linear to the coarsest features · 5×5 up … · tanh; batch norm and ReLU between them."""

    def __init__(self, c: DCGANConfig) -> None:
        super().__init__()
        self.margin, channels = c.margin, c.channels[::-1]
        self.layers = nn.Sequential(
            projected(c.latent_dim, c.coarsest),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
            *(transposed(a, b, KERNEL) for a, b in pairwise(channels[:-1])),
            doubling(channels[-2], channels[-1], KERNEL, bias=True),
        )
        for layer in maps(self):
            gaussian(layer)

    def forward(self, y: Codes) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return (torch.tanh(self.margin.crop(self.layers(y)).to(y.dtype)) + 1) / 2  # pixels, codes and scores stay in float32 under autocast


@final
class DCGANEncoder(nn.Module):
    """The generator's mirror: 5×5 down …, batch norm and ReLU after each, linear to d."""

    def __init__(self, c: DCGANConfig) -> None:
        super().__init__()
        self.margin, self.layers = c.margin, _downwards(c, "batch", "batch", 0.0, outputs=c.latent_dim)

    def forward(self, x: Images) -> Codes:
        """(B, C, H, W) in [0, 1] → (B, d)."""
        return self.layers(self.margin.pad(2 * x - 1)).to(x.dtype)


@final
class DCGANDiscriminator(nn.Module):
    """5×5 down … with a norm after all but the first and leaky ReLU, linear to one. Raises UsageError for an unknown norm."""

    def __init__(self, c: DCGANConfig, norm: str = "batch") -> None:
        super().__init__()
        require_norm(norm)
        self.margin, self.layers = c.margin, _downwards(c, "none", norm, SLOPE, outputs=1)
        if norm == "spectral":
            bound_spectrally(self)

    def forward(self, x: Images) -> Scores:
        """(B, C, H, W) in [0, 1] → (B,) logits."""
        return self.layers(self.margin.pad(2 * x - 1)).squeeze(1).to(x.dtype)


def _downwards(c: DCGANConfig, first: str, norm: str, slope: float, *, outputs: int) -> nn.Sequential:
    """Build the convolutions and the last linear layer. first: norm after the first convolution. norm: after the others."""
    norms = [first] + [norm] * (c.stages - 1)
    convolutions = [convolution(a, b, KERNEL, 2, norm=kind, slope=slope) for (a, b), kind in zip(pairwise(c.channels), norms, strict=True)]
    layers = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(prod(c.coarsest), outputs))
    for layer in maps(layers):
        gaussian(layer)
    return layers
