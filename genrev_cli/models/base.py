"""What every autoencoder of the toolkit is."""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from genrev_cli.shapes import Images, Latents


class Autoencoder(nn.Module, ABC):
    """An encoder x → z and a decoder z → x.

    image_shape: (C, H, W) of x. latent_dim: D. config: the JSON table that `build_model` makes it again from.
    bijective: decode(encode(x)) == x up to rounding, for every x and whatever the weights.
    """

    image_shape: tuple[int, int, int]
    latent_dim: int
    bijective: bool
    config: dict[str, Any]

    @abstractmethod
    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → (B, D)."""

    @abstractmethod
    def decode(self, z: Latents) -> Images:
        """(B, D) → (B, C, H, W)."""

    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())
