"""The reversible network of Schirrmeister et al. 2018 (section 3.1 and Figure 4)."""

from dataclasses import asdict, dataclass
from math import inf, prod
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import SettingError, UsageError
from genrev_cli.models.base import Bijection
from genrev_cli.models.blocks import halved, most_halvings
from genrev_cli.models.invertible import AdditiveCoupling, Chain, ConvBranch, Squeeze, Streams, grid_range, squeeze, to_grid, unsqueeze
from genrev_cli.models.margin import Margin
from genrev_cli.settings.base import listed
from genrev_cli.shapes import Images, Latents

MOST_BLOCKS = 1000
"""Limit per scale, because a file may ask for more than can ever be built."""


@dataclass(frozen=True)
class Scale:
    """One squeeze and the coupling blocks after it."""

    blocks: int
    hidden: int
    kernel: int = 3


XAVIER, DEFAULT = INITIALISATIONS = ("xavier", "default")


@dataclass(frozen=True)
class RevNetConfig:
    """image_shape: (C, H, W). scales: from the image to the latent. exact_bits: K, streams are multiples of 2^−K; 0: off.

    init: how the weights start, 'xavier' as in the authors' MNIST notebook, or 'default', torch's, as in their CelebA notebooks.
    """

    image_shape: tuple[int, int, int]
    scales: tuple[Scale, ...]
    exact_bits: int = 0
    init: str = XAVIER


@final
class RevNet(Bijection):
    """squeeze · blocks · squeeze · blocks · … · flatten.

    Images whose sides are not multiples of 2^(number of scales) are padded with zeros on all sides (MNIST: 28 → 32). The decoder crops
    them again. D includes the padded pixels. There is no output non-linearity, so decoded pixels may leave [0, 1].

    exact_bits: K rounds images, latents and branch outputs to multiples of 2^−K. In float32, and with branches under autocast,
    decode(encode(x)) == round(2^K x) / 2^K then holds to the bit, while every |stream| is below `grid_range`; `take_largest` returns
    the largest. Both directions must compute the branches identically. On another device, or with a batch size for which the library
    chooses another kernel (oneDNN did for one image, not for half a batch), the error is as large as without exact_bits. 0: off.

    init: see `RevNetConfig`.

    Raises UsageError if no network can be built for the shape and scales, for a K other than 0 and 8 … 22, and for an unknown init.
    """

    def __init__(self, image_shape: tuple[int, int, int], scales: tuple[Scale, ...], exact_bits: int = 0, init: str = XAVIER) -> None:
        super().__init__()
        _check(image_shape, scales)
        if init not in INITIALISATIONS:
            raise SettingError("init", repr(init), f"choose {listed(INITIALISATIONS)}")
        self.config = {"name": "revnet", "image_shape": list(image_shape), "scales": [asdict(scale) for scale in scales]}
        if exact_bits:  # absent from older configs, so it is written only when it is on
            grid_range(exact_bits)
            self.config["exact_bits"] = exact_bits
        if init != XAVIER:  # absent from older configs too
            self.config["init"] = init
        self.exact_bits = exact_bits
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.margin = Margin.centred(self.image_shape, len(scales))
        self.latent_dim, self.latent_shape = prod(self.padded_shape), halved(self.padded_shape, len(scales), channels * 4 ** len(scales))

        layers: list[Squeeze | AdditiveCoupling] = []
        stream = 2 * channels  # channels of one stream after the first squeeze
        for depth, scale in enumerate(scales):
            if depth:  # the first squeeze acts on the image itself and makes the two streams
                layers.append(Squeeze())
                stream *= 4
            for _ in range(scale.blocks):
                F, G = (ConvBranch(stream, scale.hidden, scale.kernel, xavier=init == XAVIER) for _ in "FG")
                layers.append(AdditiveCoupling(F, G, exact_bits))
        self.chain = Chain(layers)

    @property
    def grid_range(self) -> float:
        """Return 2^(24−K): while every |stream| is below it, the inverse is bit-exact. ∞ if exact_bits is off."""
        return grid_range(self.exact_bits) if self.exact_bits else inf

    @property
    def padding(self) -> list[int]:
        """Return the pixels of the margin: left, right, top, bottom."""
        return [self.margin.left, self.margin.right, self.margin.top, self.margin.bottom]

    def split_image(self, x: Images) -> Streams:
        """Squeeze: (B, C, H', W') → two streams (B, 2C, H'/2, W'/2)."""
        a, b = squeeze(self._snapped(x)).chunk(2, dim=1)
        return a, b

    def join_image(self, streams: Streams) -> Images:
        """Unsqueeze: two streams → (B, C, H', W')."""
        return unsqueeze(torch.cat(streams, dim=1))

    def join_latent(self, streams: Streams) -> Latents:
        """Concatenate and flatten, the first stream before the second: two streams → (B, D)."""
        return torch.cat(streams, dim=1).flatten(1)

    def split_latent(self, z: Latents) -> Streams:
        """Reshape the latent and split it in halves: (B, D) → two streams."""
        a, b = self._snapped(z).unflatten(1, self.latent_shape).chunk(2, dim=1)
        return a, b

    def _snapped(self, x: Tensor) -> Tensor:
        return to_grid(x, self.exact_bits) if self.exact_bits else x


def _check(image_shape: tuple[int, int, int], scales: tuple[Scale, ...]) -> None:
    channels, height, width = image_shape
    if not scales or min(channels, height, width) < 1:
        raise UsageError(f"revnet: image shape {tuple(image_shape)} must be positive, and {len(scales)} scales at least 1")
    for scale in scales:
        if not 0 <= scale.blocks <= MOST_BLOCKS or scale.hidden < 1 or scale.kernel < 1 or scale.kernel % 2 == 0:
            raise UsageError(f"revnet: {scale}: blocks must be 0 to {MOST_BLOCKS}, hidden at least 1 and the kernel odd")
    if len(scales) > most_halvings(image_shape):
        raise UsageError(
            f"revnet: {len(scales)} scales are too many for images of {height}×{width}, because the last would see only padding; use fewer"
        )


NETWORKS = {"revnet": (RevNetConfig, RevNet)}
