"""What every autoencoder of the toolkit is."""

from abc import ABC, abstractmethod
from typing import Any, Final

from torch import Tensor, nn

from genrev_cli.shapes import Images, Latents


class Autoencoder(nn.Module, ABC):
    """An encoder x → z and a decoder z → x.

    image_shape: (C, H, W) of x. latent_dim: D. config: the JSON table that `build_model` makes it again from.
    bijective: decode(encode(x)) == x up to rounding, for every x and whatever the weights.
    encodes: has an encoder; a GAN's generator from noise has none, and `encode` raises UsageError then.
    """

    image_shape: tuple[int, int, int]
    latent_dim: int
    bijective: bool
    encodes: bool = True
    config: dict[str, Any]

    @abstractmethod
    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → (B, D)."""

    @abstractmethod
    def decode(self, z: Latents) -> Images:
        """(B, D) → (B, C, H, W)."""

    @abstractmethod
    def decoder_modules(self) -> list[nn.Module]:
        """What `decode` uses, and trains when only the decoder is trained."""

    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())


class Bijection(Autoencoder):
    """An autoencoder whose decoder is the inverse of its encoder, and that says how much either of them changes volumes.

    Where images are padded (D > C·H·W), the log-determinants are those of the map of padded images.
    """

    bijective: Final = True

    def decoder_modules(self) -> list[nn.Module]:
        """All of it."""
        return [self]

    @abstractmethod
    def encode_log_det(self, x: Images) -> tuple[Latents, Tensor]:
        """z and log |det ∂z/∂x| of each image: (B, C, H, W) → (B, D), (B,)."""

    @abstractmethod
    def decode_log_det(self, z: Latents) -> tuple[Images, Tensor]:
        """x and log |det ∂x/∂z| of each latent: (B, D) → (B, C, H, W), (B,)."""
