"""The standard convolutional networks of SNGAN (Miyato et al. 2018, Table 3), for 32×32 pixels and other sizes.

There are w = 64 channels at the image's size and twice as many after each of three halvings. Weights start as in Glorot & Bengio 2010,
which is ours: common/net.py in pfnet-research/chainer-gan-lib starts them from N(0, 0.02²).
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
    glorot,
    halved,
    maps,
    projected,
    require_norm,
    require_sizes,
    transposed,
)
from genrev_cli.models.margin import Margin
from genrev_cli.shapes import Codes, Images, Scores

STAGES = 3
SLOPE = 0.1


@dataclass(frozen=True)
class SNGANConfig:
    """image_shape: (C, H, W). latent_dim: d. width: w."""

    image_shape: Shape
    latent_dim: int
    width: int = 64

    def __post_init__(self) -> None:
        require_sizes("sngan", self.image_shape, STAGES, {"latent_dim": self.latent_dim, "width": self.width})

    @property
    def channels(self) -> list[int]:
        """Channels at each size, from the image's to the coarsest: w, 2w, 4w, 8w."""
        return [self.width << i for i in range(STAGES + 1)]

    @property
    def margin(self) -> Margin:
        """Return the margin with which all layers halve even sides."""
        return Margin.centred(self.image_shape, STAGES)

    @property
    def coarsest(self) -> Shape:
        """Shape of the coarsest features: (8w, H'/8, W'/8), of images with their margin."""
        return halved(self.margin.grown(self.image_shape), STAGES, self.channels[-1])


@final
class SNGANGenerator(nn.Module):
    """Linear to the coarsest features · 4×4 up, 4w · 4×4 up, 2w · 4×4 up, w · 3×3, C · tanh; batch norm and ReLU between them.

    Table 3 prints no batch norm and ReLU after the linear layer, but published code has them; without them two linear maps would be one.
    """

    def __init__(self, c: SNGANConfig) -> None:
        super().__init__()
        self.margin, channels = c.margin, c.channels[::-1]
        self.layers = nn.Sequential(
            projected(c.latent_dim, c.coarsest),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
            *(transposed(a, b, 4) for a, b in pairwise(channels)),
            nn.Conv2d(channels[-1], c.image_shape[0], 3, padding=1),
        )
        for layer in maps(self):
            glorot(layer)

    def forward(self, y: Codes) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return (torch.tanh(self.margin.crop(self.layers(y)).to(y.dtype)) + 1) / 2  # pixels, codes and scores stay in float32 under autocast


@final
class SNGANEncoder(nn.Module):
    """The generator's mirror: 3×3, w · 4×4 down, 2w · 4×4 down, 4w · 4×4 down, 8w, batch norm and ReLU after each, linear to d."""

    def __init__(self, c: SNGANConfig) -> None:
        super().__init__()
        self.margin = c.margin
        self.layers = nn.Sequential(
            convolution(c.image_shape[0], c.width, 3, 1, norm="batch", slope=0.0),
            *(convolution(a, b, 4, 2, norm="batch", slope=0.0) for a, b in pairwise(c.channels)),
            nn.Flatten(),
            nn.Linear(prod(c.coarsest), c.latent_dim),
        )
        for layer in maps(self):
            glorot(layer)

    def forward(self, x: Images) -> Codes:
        """(B, C, H, W) in [0, 1] → (B, d)."""
        return self.layers(self.margin.pad(2 * x - 1)).to(x.dtype)


@final
class SNGANDiscriminator(nn.Module):
    """3×3, w · 4×4 down, w · 3×3, 2w · 4×4 down, 2w · 3×3, 4w · 4×4 down, 4w · 3×3, 8w · linear to one, leaky ReLU between them.

    A norm other than "spectral" follows all convolutions but the first. Raises UsageError for an unknown norm.
    """

    def __init__(self, c: SNGANConfig, norm: str = "spectral") -> None:
        super().__init__()
        require_norm(norm)
        self.margin = c.margin
        layers = [convolution(c.image_shape[0], c.width, 3, 1, norm="none", slope=SLOPE)]
        for a, b in pairwise(c.channels):
            layers += [convolution(a, a, 4, 2, norm=norm, slope=SLOPE), convolution(a, b, 3, 1, norm=norm, slope=SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(prod(c.coarsest), 1))
        for layer in maps(self):
            glorot(layer)
        if norm == "spectral":
            bound_spectrally(self)

    def forward(self, x: Images) -> Scores:
        """(B, C, H, W) in [0, 1] → (B,) logits."""
        return self.layers(self.margin.pad(2 * x - 1)).squeeze(1).to(x.dtype)
