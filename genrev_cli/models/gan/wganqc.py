"""The residual networks of WGAN-QC (Liu et al. 2019): models/resnet2.py, for CelebA, and resnet1.py in github.com/harryliew/WGAN-QC.

f_i = min(2ⁱ w, most) channels after i halvings. The branch of a block is multiplied by a ratio r, so at the start a block is nearly its
shortcut. All leaky ReLUs have the slope 0.2. Callers see pixels in [0, 1]; the networks use [−1, 1].
"""

from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from math import prod
from typing import Literal, final

import torch
from torch import Tensor, nn

from genrev_cli.models.blocks import Shape, bound_spectrally, convolution, halved, linear, normalisation, require_norm, require_sizes
from genrev_cli.models.margin import Margin
from genrev_cli.shapes import Codes, Images, Scores

SLOPE = 0.2
_WITH_SHIFT = ("batch", "layer")


@dataclass(frozen=True)
class WGANQCConfig:
    """image_shape: (C, H, W). latent_dim: d. width: w. most: most channels. stages: number of halvings.

    blocks: at each size but the image's, 2 in resnet2.py and 1 in resnet1.py (LSUN, CelebA-HQ). ratio: r.
    """

    image_shape: Shape
    latent_dim: int
    width: int = 64
    most: int = 512
    _: KW_ONLY
    stages: int = 4
    blocks: int = 2
    ratio: float = 0.1

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("latent_dim", "width", "most", "stages", "blocks")}
        require_sizes("wgan-qc", self.image_shape, max(self.stages, 0), sizes)

    @property
    def channels(self) -> list[int]:
        """Channels after each block that changes their number, from the image's size to the coarsest: f_0, f_1, …, f_{stages + 1}."""
        return [min(self.width << i, self.most) for i in range(self.stages + 2)]

    @property
    def margin(self) -> Margin:
        """Return the margin with which all layers halve even sides."""
        return Margin.centred(self.image_shape, self.stages)

    @property
    def coarsest(self) -> Shape:
        """Shape of the coarsest features, of images with their margin."""
        return halved(self.margin.grown(self.image_shape), self.stages, self.channels[-1])


@final
class RatioBlock(nn.Module):
    """x ↦ leaky ReLU(S(x) + r·F(x)),   F: 3×3 · norm · leaky ReLU · 3×3 · norm,   S: identity, or 1×1 · norm to other channels"""

    def __init__(self, inputs: int, outputs: int, norm: str, ratio: float) -> None:
        super().__init__()
        hidden, bias, self.ratio = min(inputs, outputs), norm not in _WITH_SHIFT, ratio
        self.residual = nn.Sequential(
            convolution(inputs, hidden, 3, 1, norm=norm, slope=SLOPE),
            nn.Conv2d(hidden, outputs, 3, padding=1, bias=bias),
            normalisation(norm, outputs),
        )
        projected = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), normalisation(norm, outputs))
        self.shortcut = nn.Identity() if inputs == outputs else projected

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H, W)."""
        return nn.functional.leaky_relu(self.shortcut(x) + self.ratio * self.residual(x), SLOPE)


def _initialise(network: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    """Draw the weights of convolutions from N(0, 2 / fan), with the fan of `mode`; all others stay as torch initialises them."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")


@final
class WGANQCGenerator(nn.Module):
    """Linear to the coarsest features · blocks and ×2 … · two blocks at the image's size · 3×3 · tanh; batch norm in all but the last."""

    def __init__(self, c: WGANQCConfig) -> None:
        super().__init__()
        self.margin, channels = c.margin, c.channels[::-1]
        blocks: list[nn.Module] = []
        for a, b in pairwise(channels[:-1]):
            blocks += [RatioBlock(a, b, "batch", c.ratio), *_same(b, "batch", c), nn.Upsample(scale_factor=2)]
        self.layers = nn.Sequential(
            linear(c.latent_dim, prod(c.coarsest), "batch", SLOPE),
            nn.Unflatten(1, c.coarsest),
            *blocks,
            RatioBlock(channels[-2], channels[-1], "batch", c.ratio),
            RatioBlock(channels[-1], channels[-1], "batch", c.ratio),
            nn.Conv2d(channels[-1], c.image_shape[0], 3, padding=1),
        )
        _initialise(self, "fan_in")

    def forward(self, y: Codes) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return (torch.tanh(self.margin.crop(self.layers(y)).to(y.dtype)) + 1) / 2  # pixels, codes and scores stay in float32 under autocast


@final
class WGANQCEncoder(nn.Module):
    """The generator's mirror, with the layers of the discriminator, batch norm and d outputs. The authors have no encoder."""

    def __init__(self, c: WGANQCConfig) -> None:
        super().__init__()
        self.margin, self.layers = c.margin, _downwards(c, "batch", outputs=c.latent_dim)
        _initialise(self, "fan_in")

    def forward(self, x: Images) -> Codes:
        """(B, C, H, W) in [0, 1] → (B, d)."""
        return self.layers(self.margin.pad(2 * x - 1)).to(x.dtype)


@final
class WGANQCDiscriminator(nn.Module):
    """3×3 · two blocks at the image's size · halving and blocks … · linear to one. Raises UsageError for an unknown norm."""

    def __init__(self, c: WGANQCConfig, norm: str = "none") -> None:
        super().__init__()
        require_norm(norm)
        self.margin, self.layers = c.margin, _downwards(c, norm, outputs=1)
        _initialise(self, "fan_out")
        if norm == "spectral":
            bound_spectrally(self)

    def forward(self, x: Images) -> Scores:
        """(B, C, H, W) in [0, 1] → (B,) logits."""
        return self.layers(self.margin.pad(2 * x - 1)).squeeze(1).to(x.dtype)


def _same(channels: int, norm: str, c: WGANQCConfig) -> list[nn.Module]:
    """Return the blocks of one size that do not change the number of channels."""
    return [RatioBlock(channels, channels, norm, c.ratio) for _ in range(c.blocks - 1)]


def _downwards(c: WGANQCConfig, norm: str, *, outputs: int) -> nn.Sequential:
    """Build the layers from an image to `outputs` numbers. Means of 3×3 pixels, zeros outside, halve the features."""
    first, *others = c.channels
    layers = [convolution(c.image_shape[0], first, 3, 1, norm="none", slope=SLOPE), RatioBlock(first, first, norm, c.ratio)]
    blocks: list[nn.Module] = [RatioBlock(first, others[0], norm, c.ratio)]
    for a, b in pairwise(others):
        blocks += [nn.AvgPool2d(3, stride=2, padding=1), *_same(a, norm, c), RatioBlock(a, b, norm, c.ratio)]
    return nn.Sequential(*layers, *blocks, nn.Flatten(), nn.Linear(prod(c.coarsest), outputs))
