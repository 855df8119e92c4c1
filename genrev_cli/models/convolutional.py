"""The convolutional autoencoder of Nguyen, Ardizzone & Köthe 2019, section 3.1: their baseline for invertible networks."""

from dataclasses import asdict, dataclass
from math import prod
from typing import ClassVar, final

import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.models.base import Autoencoder
from genrev_cli.models.dense import xavier_linear
from genrev_cli.shapes import Images, Latents


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One convolution with ReLU. padding: (rows, columns). pool: 2×2 max-pooling after it."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    pool: bool = False


@dataclass(frozen=True)
class ConvolutionalConfig:
    """image_shape: (C, H, W). latent_dim: d. stages: from the image to the latent."""

    image_shape: tuple[int, int, int]
    latent_dim: int
    stages: tuple[Stage, ...]


@final
class Convolutional(Autoencoder):
    """Convolutions, then one linear layer to d. The decoder is the mirror and ends in tanh.

    In the decoder a transposed convolution mirrors each convolution, and repeated pixels mirror pooling. Every size of the encoder is
    restored exactly, including those that a stage rounded down.
    """

    bijective: ClassVar[bool] = False

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, stages: tuple[Stage, ...]) -> None:
        super().__init__()
        _check(image_shape, latent_dim, stages)
        self.config = {
            "name": "convolutional",
            "image_shape": list(image_shape),
            "latent_dim": latent_dim,
            "stages": [{**asdict(stage), "padding": list(stage.padding)} for stage in stages],
        }
        channels, height, width = image_shape
        self.image_shape, self.latent_dim = (channels, height, width), latent_dim
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []  # in reverse order
        shape = self.image_shape
        for stage in stages:
            convolved, out = _shapes(shape, stage)
            encoder += [nn.Conv2d(shape[0], stage.channels, stage.kernel, stage.stride, stage.padding), nn.ReLU(inplace=True)]
            decoder += [nn.ReLU(inplace=True), _transposed(shape, stage, convolved)]
            if stage.pool:
                encoder.append(nn.MaxPool2d(2))
                decoder.append(nn.Upsample(size=convolved[1:]))
            shape = out
        size = prod(shape)
        self.encoder = nn.Sequential(*encoder, nn.Flatten(), xavier_linear(size, latent_dim))
        first = [xavier_linear(latent_dim, size), nn.ReLU(inplace=True), nn.Unflatten(1, shape)]
        self.decoder = nn.Sequential(*first, *decoder[:0:-1])  # no ReLU after the last layer

    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → (B, d)."""
        return self.encoder(x).to(x.dtype)  # codes and pixels stay in float32 under autocast

    def decode(self, z: Latents) -> Images:
        """(B, d) → (B, C, H, W) in (−1, 1)."""
        return torch.tanh(self.decoder(z).to(z.dtype))

    def decoder_modules(self) -> list[nn.Module]:
        return [self.decoder]


Shape = tuple[int, int, int]


def _shapes(shape: Shape, stage: Stage) -> tuple[Shape, Shape]:
    """Return the shapes after the convolution and after the whole stage.

    Raises UsageError if a side would be smaller than one pixel.
    """
    rows, columns = ((side + 2 * pad - stage.kernel) // stage.stride + 1 for side, pad in zip(shape[1:], stage.padding, strict=True))
    convolved = (stage.channels, rows, columns)
    out = (stage.channels, rows // 2, columns // 2) if stage.pool else convolved
    if min(out) < 1:
        raise UsageError(f"convolutional: no pixels of {shape[1]}×{shape[2]} are left after {stage}; use larger images or fewer stages")
    return convolved, out


def _transposed(shape: Shape, stage: Stage, convolved: Shape) -> nn.ConvTranspose2d:
    """Return the mirror of a stage's convolution; it maps features of shape `convolved` back to `shape`."""
    rows, columns = (
        side - ((out - 1) * stage.stride - 2 * pad + stage.kernel)
        for side, out, pad in zip(shape[1:], convolved[1:], stage.padding, strict=True)
    )  # lost by rounding down
    return nn.ConvTranspose2d(stage.channels, shape[0], stage.kernel, stage.stride, stage.padding, output_padding=(rows, columns))


def _check(image_shape: Shape, latent_dim: int, stages: tuple[Stage, ...]) -> None:
    if not stages or min(*image_shape, latent_dim) < 1:
        raise UsageError(
            f"convolutional: image shape {tuple(image_shape)}, latent_dim {latent_dim} and {len(stages)} stages must all be positive"
        )
    for stage in stages:
        if min(stage.channels, stage.kernel, stage.stride) < 1 or min(stage.padding) < 0:
            raise UsageError(f"convolutional: {stage}: channels, kernel and stride must be positive and padding not negative")


NETWORKS = {"convolutional": (ConvolutionalConfig, Convolutional)}
