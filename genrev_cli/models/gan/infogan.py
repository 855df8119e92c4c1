"""The networks of InfoGAN for MNIST (Chen et al. 2016, appendix C.1) without its recognition network, also for other sizes.

There are w = 64 channels at half the image's size, 2w at a quarter, and 16w dense units. Pixels are in [0, 1]; the generator ends in
a sigmoid.
"""

from dataclasses import dataclass
from math import prod
from typing import final

from torch import nn

from genrev_cli.models.blocks import (
    Shape,
    bound_spectrally,
    convolution,
    doubling,
    gaussian,
    halved,
    linear,
    maps,
    require_norm,
    require_sizes,
    transposed,
)
from genrev_cli.models.margin import Margin
from genrev_cli.shapes import Codes, Images, Scores

SLOPE = 0.1  # the paper; the authors' code has 0.01


@dataclass(frozen=True)
class InfoGANConfig:
    """image_shape: (C, H, W). latent_dim: d. width: w."""

    image_shape: Shape
    latent_dim: int
    width: int = 64

    def __post_init__(self) -> None:
        require_sizes("infogan", self.image_shape, 2, {"latent_dim": self.latent_dim, "width": self.width})

    @property
    def margin(self) -> Margin:
        """Return the margin with which both layers halve even sides."""
        return Margin.centred(self.image_shape, 2)

    @property
    def coarsest(self) -> Shape:
        """Shape of the coarsest features: (2w, H'/4, W'/4), of images with their margin."""
        return halved(self.margin.grown(self.image_shape), 2, 2 * self.width)


@final
class InfoGANGenerator(nn.Module):
    """FC 16w · FC 2w·H/4·W/4 · 4×4 up, w · 4×4 up, C · sigmoid; batch norm and ReLU between them."""

    def __init__(self, c: InfoGANConfig) -> None:
        super().__init__()
        self.margin, units, coarse = c.margin, 16 * c.width, c.coarsest
        self.layers = nn.Sequential(
            linear(c.latent_dim, units, "batch", 0.0),
            linear(units, prod(coarse), "batch", 0.0),
            nn.Unflatten(1, coarse),
            transposed(coarse[0], c.width, 4),
            doubling(c.width, c.image_shape[0], 4, bias=True),
        )
        for layer in maps(self):
            gaussian(layer)

    def forward(self, y: Codes) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return self.margin.crop(self.layers(y)).to(y.dtype).sigmoid()  # pixels, codes and scores stay in float32 under autocast


@final
class InfoGANEncoder(nn.Module):
    """The generator's mirror: 4×4 down, w · 4×4 down, 2w · FC 16w · FC d, batch norm and ReLU between them."""

    def __init__(self, c: InfoGANConfig) -> None:
        super().__init__()
        self.margin, self.layers = c.margin, _downwards(c, "batch", "batch", 0.0, outputs=c.latent_dim)

    def forward(self, x: Images) -> Codes:
        """(B, C, H, W) in [0, 1] → (B, d)."""
        return self.layers(self.margin.pad(x)).to(x.dtype)


@final
class InfoGANDiscriminator(nn.Module):
    """4×4 down, w · 4×4 down, 2w, norm · FC 16w, norm · FC 1, leaky ReLU between them. Raises UsageError for an unknown norm."""

    def __init__(self, c: InfoGANConfig, norm: str = "batch") -> None:
        super().__init__()
        require_norm(norm)
        self.margin, self.layers = c.margin, _downwards(c, "none", norm, SLOPE, outputs=1)
        if norm == "spectral":
            bound_spectrally(self)

    def forward(self, x: Images) -> Scores:
        """(B, C, H, W) in [0, 1] → (B,) logits."""
        return self.layers(self.margin.pad(x)).squeeze(1).to(x.dtype)


def _downwards(c: InfoGANConfig, first: str, norm: str, slope: float, *, outputs: int) -> nn.Sequential:
    """Build the convolutions and dense layers. first: norm after the first convolution. norm: after the other hidden layers."""
    units, coarse = 16 * c.width, c.coarsest
    layers = nn.Sequential(
        convolution(c.image_shape[0], c.width, 4, 2, norm=first, slope=slope),
        convolution(c.width, coarse[0], 4, 2, norm=norm, slope=slope),
        nn.Flatten(),
        linear(prod(coarse), units, norm, slope),
        nn.Linear(units, outputs),
    )
    for layer in maps(layers):
        gaussian(layer)
    return layers
