"""The fully connected autoencoder of Nguyen, Ardizzone & Köthe 2019, section 3.1: their baseline for invertible networks."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar, final

import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.models.base import Autoencoder
from genrev_cli.shapes import Images, Latents


@dataclass(frozen=True)
class DenseConfig:
    """image_shape: (C, H, W). latent_dim: d. hidden: units of each layer, from the image to the latent."""

    image_shape: tuple[int, int, int]
    latent_dim: int
    hidden: tuple[int, ...]


@final
class Dense(Autoencoder):
    """Linear layers with ReLU between them, down to d. The decoder is the mirror and ends in tanh."""

    bijective: ClassVar[bool] = False

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        if min(*image_shape, latent_dim, *hidden) < 1:
            raise UsageError(f"dense: image shape {tuple(image_shape)}, latent_dim {latent_dim}, hidden {tuple(hidden)} must be positive")
        self.config = {"name": "dense", "image_shape": list(image_shape), "latent_dim": latent_dim, "hidden": list(hidden)}
        channels, height, width = image_shape
        self.image_shape, self.latent_dim = (channels, height, width), latent_dim
        sizes = [prod(image_shape), *hidden, latent_dim]
        self.encoder = _perceptron(sizes)
        self.decoder = _perceptron(sizes[::-1])

    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → (B, d)."""
        return self.encoder(x.flatten(1)).to(x.dtype)  # codes and pixels stay in float32 under autocast

    def decode(self, z: Latents) -> Images:
        """(B, d) → (B, C, H, W) in (−1, 1)."""
        return torch.tanh(self.decoder(z).to(z.dtype)).unflatten(1, self.image_shape)

    def decoder_modules(self) -> list[nn.Module]:
        return [self.decoder]


def _perceptron(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = [layer for a, b in pairwise(sizes) for layer in (xavier_linear(a, b), nn.ReLU(inplace=True))]
    return nn.Sequential(*layers[:-1])


def xavier_linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer with Xavier-uniform weights and biases of 0.01 (code of Nguyen et al. 2019)."""
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.constant_(linear.bias, 0.01)
    return linear


NETWORKS = {"dense": (DenseConfig, Dense)}
