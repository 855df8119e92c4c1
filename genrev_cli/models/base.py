"""The interface that every autoencoder implements."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, ClassVar

from torch import Tensor, nn

from genrev_cli.errors import SettingError
from genrev_cli.models.invertible import MEMORY, Chain, Coupling, Streams
from genrev_cli.models.margin import NO_MARGIN, Margin
from genrev_cli.shapes import Images, Latents, Scores


class Autoencoder(nn.Module, ABC):
    """An encoder x → z and a decoder z → x.

    image_shape: (C, H, W) of x. latent_dim: D. config: the JSON table from which `build_model` builds the same network.
    bijective: decode(encode(x)) == x up to rounding, for every x and all weights.
    encodes: the network has an encoder. A GAN that generates from noise has none; its `encode` raises UsageError.
    """

    image_shape: tuple[int, int, int]
    latent_dim: int
    bijective: ClassVar[bool]
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
        """Return the modules that `decode` uses; training the decoder alone trains these."""

    def coding_modules(self) -> list[nn.Module]:
        """Return the modules that `encode` and `decode` use; by default the whole network."""
        return [self]

    def encoder_layers(self) -> list[nn.Module]:
        """Return the encoder's layers but the last, whose output is the codes; none where it is no sequence of layers."""
        return []

    def encode_by_layer(self, x: Images) -> list[Tensor]:
        """Return the outputs of all layers of the encoder, the codes (B, D) last: (B, C, H, W) → one (B, …) for each."""
        outputs: list[Tensor] = []
        hooks = [layer.register_forward_hook(lambda module, inputs, output: outputs.append(output)) for layer in self.encoder_layers()]
        try:
            z = self.encode(x)
        finally:
            for hook in hooks:
                hook.remove()
        return [*outputs, z]

    def networks(self) -> list[nn.Module]:
        """Return the parts that are called as a whole and depend on nothing but their input tensors."""
        return list(self.children())

    def parameter_count(self) -> int:
        """Return the number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


class Bijection(Autoencoder):
    """An autoencoder whose decoder is the inverse of its encoder. It also computes the log-determinants of both.

    `split_image` turns an image into two streams, the chain maps the streams, and `join_latent` turns them into the latent. The decoder
    goes back the same way.

    margin: pixels around an image, for networks that need other sides than it has. Images get a constant margin before they are encoded,
    and lose it after they are decoded. D = C·H'·W' then counts it too, and the log-determinants are those of the map of padded images.
    """

    bijective: ClassVar[bool] = True
    margin: Margin = NO_MARGIN
    chain: Chain

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        """Return (C, H', W'), the shape of an image with its margin."""
        return self.margin.grown(self.image_shape)

    @abstractmethod
    def split_image(self, x: Images) -> Streams:
        """Turn images with their margin into the streams that enter the chain: (B, C, H', W') → two streams."""

    @abstractmethod
    def join_image(self, streams: Streams) -> Images:
        """Turn the streams that leave the inverse chain into images with their margin: two streams → (B, C, H', W')."""

    @abstractmethod
    def join_latent(self, streams: Streams) -> Latents:
        """Turn the streams that leave the chain into latents: two streams → (B, D)."""

    @abstractmethod
    def split_latent(self, z: Latents) -> Streams:
        """Turn latents into the streams that enter the inverse chain: (B, D) → two streams."""

    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → (B, D)."""
        return self.join_latent(self.chain.run(self.chain.steps(), self._entering(x)))

    def decode(self, z: Latents) -> Images:
        """(B, D) → (B, C, H, W), the inverse of `encode`."""
        return self.margin.crop(self.join_image(self.chain.run(self.chain.inverse_steps(), partial(self.split_latent, z))))

    def encode_log_det(self, x: Images, border: Images | None = None) -> tuple[Latents, Scores]:
        """Return z and log |det ∂z/∂x| of each image: (B, C, H, W) → (B, D), (B,).

        border: (B, C, H', W') images whose outer pixels become the margin of x, instead of constant ones.
        """
        streams, log_det = self.chain.run_log_det(self.chain.steps(), self._entering(x, border))
        return self.join_latent(streams), log_det

    def decode_log_det(self, z: Latents) -> tuple[Images, Scores]:
        """Return x and log |det ∂x/∂z| of each latent: (B, D) → (B, C, H, W), (B,)."""
        streams, log_det = self.chain.run_log_det(self.chain.inverse_steps(), partial(self.split_latent, z))
        return self.margin.crop(self.join_image(streams)), log_det

    def _entering(self, x: Images, border: Images | None = None) -> Callable[[], Streams]:
        """Return a function that makes the streams of images; the backward pass may call it again."""
        return lambda: self.split_image(self.margin.pad(x) if border is None else self.margin.surround(x, border))

    def decoder_modules(self) -> list[nn.Module]:
        """Return the whole network: encoder and decoder share their weights."""
        return [self]

    def networks(self) -> list[nn.Module]:
        """Return F and G of every coupling."""
        return [branch for layer in self.chain.layers if isinstance(layer, Coupling) for branch in (layer.F, layer.G)]

    @property
    def grid_range(self) -> float:
        """Return the magnitude below which streams must stay for a bit-exact inverse; ∞ if the inverse is exact only up to rounding."""
        return inf

    @property
    def memory(self) -> str:
        """One of MEMORY: which tensors are kept for the backward pass. Values do not depend on it; gradients do, by rounding only.

        plain: everything that autograd saves. checkpoint: the streams of every half coupling. reversible: only the last streams; the
        inputs of every half coupling are recomputed from its outputs. The input of the network must not change in place before the
        backward pass. Setting any other value raises UsageError.
        """
        return self.chain.memory

    @memory.setter
    def memory(self, memory: str) -> None:
        if memory not in MEMORY:
            raise SettingError("memory", repr(memory), f"choose {', '.join(MEMORY)}")
        self.chain.memory = memory

    def take_roundtrip(self) -> Tensor | None:
        """Return the largest |x − x'| since the last call, and forget it: () on its device, NaN if any value was NaN.

        x is an input (the streams of an image or latent), x' the same input as the reversible backward pass recomputed it: this is the
        error of the inverse during training. Return None if no reversible backward pass has reached an input.
        """
        return self.chain.roundtrip.take()

    def take_largest(self) -> Tensor | None:
        """Return the largest magnitude in the output streams of all couplings since the last call: () on its device, NaN if any was NaN.

        Return None if nothing has passed, or if no coupling is exact (`exact_bits`).
        """
        return self.chain.take_largest()
