"""The reversible network of Schirrmeister et al. 2018 (A1, Fig. 4): encoder from top to bottom, decoder from bottom to top."""

from dataclasses import asdict, dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad

from genrev_cli.errors import UsageError
from genrev_cli.models.base import Bijection
from genrev_cli.models.invertible import AdditiveCoupling, Chain, ConvBranch, Squeeze, squeeze, unsqueeze
from genrev_cli.shapes import Images, Latents


@dataclass(frozen=True)
class Scale:
    """One squeeze and the coupling blocks behind it."""

    blocks: int
    hidden: int
    kernel: int = 3


@dataclass(frozen=True)
class RevNetConfig:
    """image_shape: (C, H, W). scales: from the image to the latent."""

    image_shape: tuple[int, int, int]
    scales: tuple[Scale, ...]


@final
class RevNet(Bijection):
    """squeeze · blocks · squeeze · blocks · … · flatten.

    Images whose sides are not multiples of 2^(number of scales) are padded with zeros on all sides (MNIST: 28 → 32), and the
    decoder crops them again; D counts the padded pixels. There is no output non-linearity: decoded pixels may leave [0, 1].
    """

    def __init__(self, image_shape: tuple[int, int, int], scales: tuple[Scale, ...]) -> None:
        super().__init__()
        _check(image_shape, scales)
        self.config = {"name": "revnet", "image_shape": list(image_shape), "scales": [asdict(scale) for scale in scales]}
        self.image_shape = tuple(image_shape)
        channels, height, width = image_shape
        factor = 2 ** len(scales)
        extra = [-side % factor for side in (width, height)]
        self.padding = [side for total in extra for side in (total // 2, total - total // 2)]  # left, right, top, bottom
        self.latent_shape = (channels * factor**2, (height + extra[1]) // factor, (width + extra[0]) // factor)
        self.latent_dim = self.latent_shape[0] * self.latent_shape[1] * self.latent_shape[2]

        layers = []
        stream = 2 * channels  # channels of one stream behind the first squeeze
        for depth, scale in enumerate(scales):
            if depth:  # the first squeeze acts on the image itself and makes the two streams
                layers.append(Squeeze())
                stream *= 4
            layers += [AdditiveCoupling(*(ConvBranch(stream, scale.hidden, scale.kernel) for _ in "FG")) for _ in range(scale.blocks)]
        self.chain = Chain(layers)

    def encode(self, x: Images) -> Latents:
        """R: (B, C, H, W) → (B, D)."""
        a, b = squeeze(pad(x, self.padding)).chunk(2, dim=1)
        return torch.cat(self.chain((a, b)), dim=1).flatten(1)

    def decode(self, z: Latents) -> Images:
        """R⁻¹: (B, D) → (B, C, H, W)."""
        a, b = z.unflatten(1, self.latent_shape).chunk(2, dim=1)
        padded = unsqueeze(torch.cat(self.chain.inverse((a, b)), dim=1))
        left, _, top, _ = self.padding
        _, height, width = self.image_shape
        return padded[:, :, top : top + height, left : left + width]

    def encode_log_det(self, x: Images) -> tuple[Latents, Tensor]:
        """The log-determinant is 0: couplings are shears, squeezes permutations."""
        return self.encode(x), x.new_zeros(len(x))

    def decode_log_det(self, z: Latents) -> tuple[Images, Tensor]:
        """The log-determinant is 0."""
        return self.decode(z), z.new_zeros(len(z))


def _check(image_shape: tuple[int, int, int], scales: tuple[Scale, ...]) -> None:
    channels, height, width = image_shape
    if not scales or min(channels, height, width) < 1:
        raise UsageError(f"revnet: image shape {tuple(image_shape)} with {len(scales)} scales is no network; at least one scale is needed")
    for scale in scales:
        if scale.blocks < 0 or scale.hidden < 1 or scale.kernel < 1 or scale.kernel % 2 == 0:
            raise UsageError(f"revnet: {scale}: blocks ≥ 0, hidden ≥ 1 and an odd kernel are needed")
    if 2 ** len(scales) > 2 * max(height, width):
        raise UsageError(f"revnet: {len(scales)} scales are too many for images of {height}×{width}; the last one would only see padding")
