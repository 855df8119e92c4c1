"""The invertible network of Nguyen, Ardizzone & Köthe 2019 (section 3.1): Haar squeezes and affine couplings."""

from dataclasses import asdict, dataclass
from math import prod
from typing import final

import torch

from genrev_cli.errors import UsageError
from genrev_cli.models.base import Bijection
from genrev_cli.models.invertible import AffineConvBranch, AffineCoupling, AffineDenseBranch, Chain, Haar, Streams, haar, unhaar
from genrev_cli.shapes import Images, Latents

MOST_COUPLINGS = 1000
"""Of one level: a file may ask for more than can be built in a lifetime."""


@dataclass(frozen=True)
class Level:
    """One Haar squeeze and the convolutional couplings behind it. hidden: channels within their branches."""

    couplings: int
    hidden: int


@dataclass(frozen=True)
class INNConfig:
    """image_shape: (C, H, W). levels: from the image to the latent. hidden_dense: units of the dense coupling. clamp: of every scale."""

    image_shape: tuple[int, int, int]
    levels: tuple[Level, ...]
    hidden_dense: int
    clamp: float = 1.0


@final
class INN(Bijection):
    """Haar · convolutional couplings · … · one dense coupling on the streams as vectors · as many inverse Haars · flatten.

    The latent is laid out like the image again, as in the authors' code: its first entries are the image's first rows, and with fresh
    weights the network is the identity. There is no output non-linearity. Sides must be multiples of 2^(number of levels): padding
    would bring in pixels that have no density, and the paper's images fit.
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
        self.image_shape = tuple(image_shape)
        self.latent_dim = prod(image_shape)
        self.levels = len(levels)

        layers = []
        stream = 2 * image_shape[0]  # channels of one stream behind the first squeeze
        for depth, level in enumerate(levels):
            if depth:  # the first squeeze acts on the image itself and makes the two streams
                layers.append(Haar())
                stream *= 4
            layers += [AffineCoupling(*(AffineConvBranch(stream, level.hidden) for _ in "FG"), clamp=clamp) for _ in range(level.couplings)]
        layers.append(AffineCoupling(*(AffineDenseBranch(self.latent_dim // 2, hidden_dense) for _ in "FG"), clamp=clamp))
        self.chain = Chain(layers)

    def split_image(self, x: Images) -> Streams:
        """Haar: (B, C, H, W) → twice (B, 2C, H/2, W/2)."""
        a, b = haar(x).chunk(2, dim=1)
        return a, b

    def join_image(self, streams: Streams) -> Images:
        """Inverse Haar."""
        return unhaar(torch.cat(streams, dim=1))

    def join_latent(self, streams: Streams) -> Latents:
        """As many inverse Haars as levels, and a vector."""
        y = torch.cat(streams, dim=1)
        for _ in range(self.levels):
            y = unhaar(y)
        return y.flatten(1)

    def split_latent(self, z: Latents) -> Streams:
        """The latent as an image, and as many Haars as levels."""
        y = z.unflatten(1, self.image_shape)
        for _ in range(self.levels):
            y = haar(y)
        a, b = y.chunk(2, dim=1)
        return a, b


def _check(image_shape: tuple[int, int, int], levels: tuple[Level, ...], hidden_dense: int, clamp: float) -> None:
    channels, height, width = image_shape
    if not levels or min(channels, height, width) < 1:
        raise UsageError(f"inn: image shape {tuple(image_shape)} with {len(levels)} levels is no network; at least one level is needed")
    for level in levels:
        if not 0 <= level.couplings <= MOST_COUPLINGS or level.hidden < 1:
            raise UsageError(f"inn: {level}: couplings from 0 to {MOST_COUPLINGS} and hidden ≥ 1 are needed")
    if hidden_dense < 1 or clamp <= 0:
        raise UsageError(f"inn: hidden_dense = {hidden_dense} and clamp = {clamp} must be positive")
    factor = 2 ** len(levels)
    if height % factor or width % factor:
        raise UsageError(
            f"inn: images of {height}×{width} cannot be halved {len(levels)} times; "
            f"prepare them with a --size that is a multiple of {factor}, or take fewer levels"
        )
