"""What every autoencoder of the toolkit is."""

from abc import ABC, abstractmethod
from functools import partial
from math import inf
from typing import Any, Final

from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.models.invertible import MEMORY, Chain, Coupling, Streams
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

    def coding_modules(self) -> list[nn.Module]:
        """What `encode` and `decode` use, and trains where only they are asked; by default all of it."""
        return [self]

    def networks(self) -> list[nn.Module]:
        """Its parts that are called as a whole, each a function of tensors alone."""
        return list(self.children())

    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())


class Bijection(Autoencoder):
    """An autoencoder whose decoder is the inverse of its encoder, and that says how much either of them changes volumes.

    An image becomes two streams, which the chain maps, and those become the latent; the decoder goes back the same way. Where images
    are padded (D > C·H·W), the log-determinants are those of the map of padded images.
    """

    bijective: Final = True
    chain: Chain

    @abstractmethod
    def split_image(self, x: Images) -> Streams:
        """(B, C, H, W) → what the chain begins with."""

    @abstractmethod
    def join_image(self, streams: Streams) -> Images:
        """What the inverse chain ends with → (B, C, H, W)."""

    @abstractmethod
    def join_latent(self, streams: Streams) -> Latents:
        """What the chain ends with → (B, D)."""

    @abstractmethod
    def split_latent(self, z: Latents) -> Streams:
        """(B, D) → what the inverse chain begins with."""

    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → (B, D)."""
        return self.join_latent(self.chain.run(self.chain.steps(), partial(self.split_image, x))[0])

    def decode(self, z: Latents) -> Images:
        """(B, D) → (B, C, H, W), the inverse of `encode`."""
        return self.join_image(self.chain.run(self.chain.inverse_steps(), partial(self.split_latent, z))[0])

    def encode_log_det(self, x: Images) -> tuple[Latents, Tensor]:
        """z and log |det ∂z/∂x| of each image: (B, C, H, W) → (B, D), (B,)."""
        streams, log_det = self.chain.run(self.chain.steps(), partial(self.split_image, x), log_det=True)
        return self.join_latent(streams), log_det

    def decode_log_det(self, z: Latents) -> tuple[Images, Tensor]:
        """x and log |det ∂x/∂z| of each latent: (B, D) → (B, C, H, W), (B,)."""
        streams, log_det = self.chain.run(self.chain.inverse_steps(), partial(self.split_latent, z), log_det=True)
        return self.join_image(streams), log_det

    def decoder_modules(self) -> list[nn.Module]:
        """All of it."""
        return [self]

    def networks(self) -> list[nn.Module]:
        """F and G of every coupling."""
        return [branch for layer in self.chain.layers if isinstance(layer, Coupling) for branch in (layer.F, layer.G)]

    @property
    def grid_range(self) -> float:
        """How large streams may become while the inverse is exact to the bit; infinite where it is exact up to rounding only."""
        return inf

    @property
    def memory(self) -> str:
        """What is kept for the backward pass, of MEMORY; it changes no value, and gradients by rounding alone.

        plain: what autograd saves by itself. reversible: the last streams, whatever the depth; the inputs of every half coupling are
        computed again from its outputs, and must not have changed in place by then. checkpoint: the streams of every half coupling.
        Setting it raises UsageError for another word.
        """
        return self.chain.memory

    @memory.setter
    def memory(self, memory: str) -> None:
        if memory not in MEMORY:
            raise UsageError(f"memory = {memory!r} is unknown; there is {', '.join(MEMORY)}")
        self.chain.memory = memory

    def take_roundtrip(self) -> Tensor | None:
        """() the largest |x − x'| since it was last taken, where x' is the input (an image's streams, or a latent's) as a reversible
        backward pass computed it from the output: the error of the inverse, in training itself. It is left on its device, and NaN if
        one was NaN. None: there was no reversible backward pass that reached the input.
        """
        return self.chain.roundtrip.take()

    def take_largest(self) -> Tensor | None:
        """() the largest |number| in the streams behind a coupling since it was last taken, on its device, and NaN if one was NaN.

        None: nothing passed, or no coupling is exact (`exact_bits`).
        """
        return self.chain.take_largest()
