"""The networks of published GANs: generators with the encoders that mirror them as autoencoders, and their discriminators (D7)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from torch import nn

from genrev_cli.config import from_table
from genrev_cli.errors import UsageError
from genrev_cli.models.base import Autoencoder
from genrev_cli.models.gan.blocks import NORMS, Shape, require_norm
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
from genrev_cli.shapes import Codes, Images


@dataclass(frozen=True)
class Family:
    """settings: a dataclass with image_shape and latent_dim among its fields. The networks are made of an instance of it.

    encoder(settings), generator(settings), discriminator(settings, norm), the norm of the paper being the default.
    """

    settings: type
    encoder: Callable[[Any], nn.Module]
    generator: Callable[[Any], nn.Module]
    discriminator: Callable[..., nn.Module]


FAMILIES: dict[str, Family] = {
    "infogan": Family(InfoGANConfig, InfoGANEncoder, InfoGANGenerator, InfoGANDiscriminator),
    "sngan": Family(SNGANConfig, SNGANEncoder, SNGANGenerator, SNGANDiscriminator),
    "sngan-resnet": Family(SNGANResNetConfig, ResNetEncoder, ResNetGenerator, SNGANResNetDiscriminator),
    "dcgan": Family(DCGANConfig, DCGANEncoder, DCGANGenerator, DCGANDiscriminator),
    "wgan-resnet": Family(WGANResNetConfig, ResNetEncoder, ResNetGenerator, WGANResNetDiscriminator),
}


@final
class Mirrored(Autoencoder):
    """A GAN's generator as the decoder, its mirror as the encoder. Both have batch norm: codes depend on the batch in training mode."""

    bijective: Final = False

    def __init__(self, name: str, settings: Any) -> None:
        """name: of a family; settings: an instance of the dataclass of its settings."""
        super().__init__()
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(settings).items()}
        self.config = {"name": name, **plain}
        self.image_shape, self.latent_dim = tuple(settings.image_shape), settings.latent_dim
        self.encoder, self.generator = FAMILIES[name].encoder(settings), FAMILIES[name].generator(settings)

    def encode(self, x: Images) -> Codes:
        """(B, C, H, W) in [0, 1] → (B, d)."""
        return self.encoder(x)

    def decode(self, z: Codes) -> Images:
        """(B, d) → (B, C, H, W) in [0, 1]."""
        return self.generator(z)


def mirrored(name: str, **settings: Any) -> Mirrored:
    """The autoencoder of a family. Raises UsageError for sizes of which none can be made."""
    return Mirrored(name, FAMILIES[name].settings(**settings))


def build_discriminator(model: dict[str, Any], norm: str) -> nn.Module:
    """The discriminator that belongs to an autoencoder's config, with fresh weights: (B, C, H, W) in [0, 1] → (B,) logits.

    norm: one of NORMS. An autoencoder of another kind has none of its own and gets the first of these that its images fit:

        sides up to 32, multiples of 4, unless in colour and multiples of 8    infogan
        sides up to 48, multiples of 8                                         sngan
        sides up to 96, multiples of 16                                        dcgan
        sides from 64 to 256                                                   wgan-resnet, halved to a shorter side of 4 … 7

    Raises UsageError for an unknown norm or config, and when none fits.
    """
    require_norm(norm)
    name, table = (model["name"], model) if model.get("name") in FAMILIES else _fitting(tuple(model["image_shape"]))
    family = FAMILIES[name]
    return family.discriminator(from_table(family.settings, {key: table[key] for key in table if key != "name"}, "[model]"), norm)


_CHANNELS = (512, 512, 256, 128, 64, 32, 16)  # of the residual network for 256×256 pixels


def _fitting(image_shape: Shape) -> tuple[str, dict[str, Any]]:
    """The family and settings for images that no family was asked for."""
    channels, *sides = image_shape
    settings = {"image_shape": image_shape, "latent_dim": 1}  # a discriminator knows no codes

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
    raise UsageError(
        f"no discriminator fits images of {sides[0]}×{sides[1]} pixels; prepare them with sides that are multiples of 4 (up to 32), "
        "8 (up to 48) or 16 (up to 96), or 128 or 256"
    )


__all__ = ["FAMILIES", "NORMS", "Family", "Mirrored", "build_discriminator", "mirrored"]
