"""The invertible network of Nguyen, Ardizzone & Köthe 2019 (section 3.1): Haar squeezes and affine couplings."""

from dataclasses import asdict, dataclass
from math import prod
from typing import final

import torch

from genrev_cli.errors import UsageError
from genrev_cli.models.base import Bijection
from genrev_cli.models.blocks import most_halvings
from genrev_cli.models.invertible import AffineConvBranch, AffineCoupling, AffineDenseBranch, Chain, Haar, Streams, haar, unhaar
from genrev_cli.models.margin import Margin
from genrev_cli.shapes import Images, Latents

MOST_COUPLINGS = 1000
"""Limit per level, because a file may ask for more than can ever be built."""


@dataclass(frozen=True)
class Level:
    """One Haar squeeze and the convolutional couplings after it. hidden: channels inside their branches."""

    couplings: int
    hidden: int


@dataclass(frozen=True)
class INNConfig:
    """image_shape: (C, H, W). levels: from the image to the latent. clamp: of log-scales.

    hidden_dense: units of the dense coupling; 0: no dense coupling, then distant pixels may not mix (see `INN`).
    """

    image_shape: tuple[int, int, int]
    levels: tuple[Level, ...]
    hidden_dense: int
    clamp: float = 1.0


@final
class INN(Bijection):
    """Haar · convolutional couplings · … · one dense coupling on the flattened streams · one inverse Haar per level · flatten.

    The latent has the layout of the image, as in the authors' code: its first entries correspond to the image's first rows. With fresh
    weights the network is the identity. There is no output non-linearity.

    Images whose sides are not multiples of 2^(number of levels) are padded at the right and at the bottom with 0.5, the mean of the noise
    that a likelihood has there. The decoder crops them again. D includes the padded pixels. The paper has no such images; this is ours.

    hidden_dense: 0 leaves out the dense coupling, which has 4·D·hidden_dense weights. Then only convolutions mix pixels, so a value of the
    latent depends on a neighbourhood: each coupling reaches 4 pixels further in every direction, on a map that is halved once per level.
    Without the dense coupling small images still mix fully, large ones only if there are enough levels and couplings.

    Raises UsageError if no network can be built for the shape and levels.
    """

    def __init__(self, image_shape: tuple[int, int, int], levels: tuple[Level, ...], hidden_dense: int, clamp: float = 1.0) -> None:
        super().__init__()
        _check(image_shape, levels, hidden_dense, clamp)
        self.config = {
            "name": "inn",
            "image_shape": list(image_shape),
            "levels": [asdict(level) for level in levels],
            "hidden_dense": hidden_dense,
            "clamp": clamp,
        }
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.margin = Margin.after(self.image_shape, len(levels), value=0.5)
        self.latent_dim, self.levels = prod(self.padded_shape), len(levels)

        layers: list[Haar | AffineCoupling] = []
        stream = 2 * channels  # channels of one stream after the first squeeze
        for depth, level in enumerate(levels):
            if depth:  # the first squeeze acts on the image itself and makes the two streams
                layers.append(Haar())
                stream *= 4
            for _ in range(level.couplings):
                F, G = (AffineConvBranch(stream, level.hidden) for _ in "FG")
                layers.append(AffineCoupling(F, G, clamp))
        if hidden_dense:
            dense_F, dense_G = (AffineDenseBranch(self.latent_dim // 2, hidden_dense) for _ in "FG")
            layers.append(AffineCoupling(dense_F, dense_G, clamp))
        self.chain = Chain(layers)

    def split_image(self, x: Images) -> Streams:
        """Haar: (B, C, H', W') → two streams (B, 2C, H'/2, W'/2)."""
        a, b = haar(x).chunk(2, dim=1)
        return a, b

    def join_image(self, streams: Streams) -> Images:
        """Inverse Haar: two streams → (B, C, H', W')."""
        return unhaar(torch.cat(streams, dim=1))

    def join_latent(self, streams: Streams) -> Latents:
        """One inverse Haar per level, then flatten: two streams → (B, D)."""
        y = torch.cat(streams, dim=1)
        for _ in range(self.levels):
            y = unhaar(y)
        return y.flatten(1)

    def split_latent(self, z: Latents) -> Streams:
        """Reshape the latent to a padded image, then one Haar per level: (B, D) → two streams."""
        y = z.unflatten(1, self.padded_shape)
        for _ in range(self.levels):
            y = haar(y)
        a, b = y.chunk(2, dim=1)
        return a, b


def _check(image_shape: tuple[int, int, int], levels: tuple[Level, ...], hidden_dense: int, clamp: float) -> None:
    channels, height, width = image_shape
    if not levels or min(channels, height, width) < 1:
        raise UsageError(f"inn: image shape {tuple(image_shape)} must be positive, and {len(levels)} levels at least 1")
    for level in levels:
        if not 0 <= level.couplings <= MOST_COUPLINGS or level.hidden < 1:
            raise UsageError(f"inn: {level}: couplings must be 0 to {MOST_COUPLINGS} and hidden at least 1")
    if hidden_dense < 0 or clamp <= 0:
        raise UsageError(f"inn: hidden_dense = {hidden_dense} must not be negative, and clamp = {clamp} must be positive")
    if len(levels) > most_halvings(image_shape):
        raise UsageError(f"inn: images of {height}×{width} cannot be halved {len(levels)} times; use fewer levels")


NETWORKS = {"inn": (INNConfig, INN)}
