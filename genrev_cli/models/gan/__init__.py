"""The networks of published GANs: each generator with a mirrored encoder as an autoencoder, and its discriminator.

They are the architectures that An et al. 2020, section 4, train, and that of WGAN-QC in their Table 1.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, make_dataclass
from functools import partial
from typing import Any, ClassVar, final

from torch import nn

from genrev_cli.config import from_table
from genrev_cli.errors import UsageError
from genrev_cli.models.base import Autoencoder
from genrev_cli.models.blocks import NORMS, Shape, maps, require_norm
from genrev_cli.models.gan.dcgan import DCGANConfig, DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from genrev_cli.models.gan.infogan import InfoGANConfig, InfoGANDiscriminator, InfoGANEncoder, InfoGANGenerator
from genrev_cli.models.gan.resnet import (
    ResNetEncoder,
    ResNetGenerator,
    SNGANResNetConfig,
    SNGANResNetDiscriminator,
    WGANResNetConfig,
    WGANResNetDiscriminator,
)
from genrev_cli.models.gan.sngan import SNGANConfig, SNGANDiscriminator, SNGANEncoder, SNGANGenerator
from genrev_cli.models.gan.wganqc import WGANQCConfig, WGANQCDiscriminator, WGANQCEncoder, WGANQCGenerator
from genrev_cli.shapes import Codes, Images


@dataclass(frozen=True)
class Family:
    """The networks of one paper.

    settings: a dataclass with fields image_shape and latent_dim; the networks are built from an instance of it.
    encoder(settings), generator(settings), discriminator(settings, norm), whose default norm is the paper's.
    span: white minus black in the discriminator's own pixels: 1 for [0, 1], 2 for [−1, 1].
    """

    settings: type
    encoder: Callable[[Any], nn.Module]
    generator: Callable[[Any], nn.Module]
    discriminator: Callable[..., nn.Module]
    _: KW_ONLY
    span: float = 2.0


def _with_choice(settings: type) -> type:
    """Add the field `encoder`: build an encoder too. A GAN that generates from noise needs none."""
    return make_dataclass(settings.__name__, [("encoder", bool, True)], bases=(settings,), frozen=True)


FAMILIES: dict[str, Family] = {
    "infogan": Family(_with_choice(InfoGANConfig), InfoGANEncoder, InfoGANGenerator, InfoGANDiscriminator, span=1.0),
    "sngan": Family(_with_choice(SNGANConfig), SNGANEncoder, SNGANGenerator, SNGANDiscriminator),
    "sngan-resnet": Family(_with_choice(SNGANResNetConfig), ResNetEncoder, ResNetGenerator, SNGANResNetDiscriminator),
    "dcgan": Family(_with_choice(DCGANConfig), DCGANEncoder, DCGANGenerator, DCGANDiscriminator),
    "wgan-resnet": Family(_with_choice(WGANResNetConfig), ResNetEncoder, ResNetGenerator, WGANResNetDiscriminator),
    "wgan-qc": Family(_with_choice(WGANQCConfig), WGANQCEncoder, WGANQCGenerator, WGANQCDiscriminator),
}


@final
class Mirrored(Autoencoder):
    """A GAN's generator as the decoder and its mirror as the encoder. Both have batch norm, so in training mode codes depend on the batch.

    With `encoder = false` there is only the generator.
    """

    bijective: ClassVar[bool] = False

    def __init__(self, name: str, settings: Any) -> None:
        """name: a key of FAMILIES. settings: an instance of that family's settings."""
        super().__init__()
        plain: dict[str, Any] = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(settings).items()}
        self.encodes = plain.pop("encoder")
        self.config = {"name": name, **plain, **({} if self.encodes else {"encoder": False})}
        channels, height, width = settings.image_shape
        self.image_shape, self.latent_dim = (channels, height, width), settings.latent_dim
        if self.encodes:
            self.encoder = FAMILIES[name].encoder(settings)
        self.generator = FAMILIES[name].generator(settings)

    def encode(self, x: Images) -> Codes:
        """(B, C, H, W) in [0, 1] → (B, d). Raises UsageError if there is no encoder."""
        if not self.encodes:
            raise UsageError(f"'{self.config['name']}' has no encoder, so images have no codes; use a model with encoder = true")
        return self.encoder(x)

    def decode(self, z: Codes) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return self.generator(z)

    def decoder_modules(self) -> list[nn.Module]:
        return [self.generator]

    def encoder_layers(self) -> list[nn.Module]:
        """Return the encoder's convolutions, dense layers and residual blocks but the last, each with its norm and rectifier."""
        layers = self.encoder.get_submodule("layers").children() if self.encodes else ()
        return [layer for layer in layers if maps(layer)][:-1]


def mirrored(name: str, **settings: Any) -> Mirrored:
    """Build the autoencoder of a family. Raises UsageError for sizes that do not fit the network."""
    return Mirrored(name, FAMILIES[name].settings(**settings))


def build_discriminator(model: dict[str, Any], norm: str | None = None) -> nn.Module:
    """Build the discriminator for an autoencoder's config, with fresh weights: (B, C, H, W) in [0, 1] → (B,) logits.

    norm: one of NORMS, or None for the norm of the discriminator's paper. An autoencoder that belongs to no family gets the first of
    these discriminators that fits its images:

        sides up to 32, multiples of 4 (images in colour: not of 8)    infogan
        sides up to 48, multiples of 8                                 sngan
        sides up to 96, multiples of 16                                dcgan
        sides from 64 to 256                                           wgan-resnet, halved until the shorter side is 4 … 7

    If none fits, the images get a margin, and the longer side decides:

        up to 32    infogan (gray) or sngan (colour)
        up to 48    sngan
        up to 96    dcgan
        up to 256   wgan-resnet, halved until the longer side is 4 … 8, or less often, so that the margin at most doubles the shorter side

    Raises UsageError for an unknown norm or config, and for sides of more than 256 pixels.
    """
    if norm is not None:
        require_norm(norm)
    name, table = _discriminator_of(model)
    family = FAMILIES[name]
    settings: Any = from_table(family.settings, {key: table[key] for key in table if key != "name"}, "[model]")
    return family.discriminator(settings) if norm is None else family.discriminator(settings, norm)


def span_of(model: dict[str, Any]) -> float:
    """Return white minus black in the pixels that the discriminator of a config sees inside: 1 or 2.

    The gradient with respect to images in [0, 1] is this many times the gradient with respect to those inner pixels, which papers use.
    Raises UsageError like `build_discriminator`.
    """
    return FAMILIES[_discriminator_of(model)[0]].span


def _discriminator_of(model: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of the family and the table of its settings."""
    return (model["name"], model) if model.get("name") in FAMILIES else _fitting(tuple(model["image_shape"]))


_CHANNELS = (512, 512, 256, 128, 64, 32, 16)  # wgan-resnet for 256×256 pixels
_LARGEST = 256
"""Longest side of images for which a discriminator is chosen."""


def _fitting(image_shape: Shape) -> tuple[str, dict[str, Any]]:
    """Choose the family by the shape of the images; return its name and settings."""
    if max(image_shape[1:]) > _LARGEST:
        raise UsageError(
            f"no discriminator fits images of {image_shape[1]}×{image_shape[2]} pixels; prepare them with sides of at most {_LARGEST}"
        )
    return _fitting_exactly(image_shape) or _fitting_with_margin(image_shape)


def _fitting_exactly(image_shape: Shape) -> tuple[str, dict[str, Any]] | None:
    channels, *sides = image_shape
    settings: dict[str, Any] = {"image_shape": image_shape, "latent_dim": 1}  # discriminators ignore latent_dim

    def up_to(side: int, halvings: int) -> bool:
        return max(sides) <= side and not any(side % 2**halvings for side in sides)

    if up_to(32, 2) and (channels == 1 or not up_to(32, 3)):
        return "infogan", settings
    if up_to(48, 3):
        return "sngan", settings
    if up_to(96, 4):
        return "dcgan", settings
    blocks = (min(sides) // 4).bit_length() - 1
    if min(sides) >= 64 and up_to(256, blocks):
        return "wgan-resnet", {**settings, "channels": _CHANNELS[: blocks + 1]}
    return None


def _fitting_with_margin(image_shape: Shape) -> tuple[str, dict[str, Any]]:
    channels, *sides = image_shape
    settings: dict[str, Any] = {"image_shape": image_shape, "latent_dim": 1}
    for largest, name in ((32, "infogan" if channels == 1 else "sngan"), (48, "sngan"), (96, "dcgan")):
        if max(sides) <= largest:
            return name, settings
    blocks = min((max(sides) + 3) // 4, 2 * min(sides)).bit_length() - 1
    return "wgan-resnet", {**settings, "channels": _CHANNELS[: blocks + 1]}


__all__ = ["FAMILIES", "NORMS", "Family", "Mirrored", "build_discriminator", "mirrored", "span_of"]


NETWORKS = {name: (family.settings, partial(mirrored, name)) for name, family in FAMILIES.items()}
