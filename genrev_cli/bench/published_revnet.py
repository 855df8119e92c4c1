"""The authors' layers (github.com/robintibor/generative-reversible) with the weights of a `RevNet`.

Every block splits one tensor and joins it again. The squeeze joins strided slices, and its inverse writes slices into zeros. Autograd
computes the gradients. The authors' blocks swap the streams, y = (F(x₁) + x₂, G(y₁) + x₁). Here they follow eq. 1 of Schirrmeister et
al. 2018, as in genrev, at the same cost, so that both are the same network.
"""

import warnings
from collections.abc import Callable
from typing import Protocol, final

import torch
from torch import Tensor, nn

from genrev_cli.models.invertible import AdditiveCoupling, ConvBranch
from genrev_cli.models.revnet import RevNet
from genrev_cli.shapes import Images, Latents

OFFSETS = ((0, 0), (1, 1), (0, 1), (1, 0))


class Layer(Protocol):
    """A bijection of single tensors."""

    def __call__(self, x: Tensor) -> Tensor:
        """(B, c, H, W) → (B, c′, H′, W′) with as many values."""

    def inverse(self, y: Tensor) -> Tensor:
        """Return the x of which y is the result."""


@final
class Block(nn.Module):
    """y₁ = F(x₂) + x₁,  y₂ = G(y₁) + x₂   (eq. 1)"""

    def __init__(self, F: nn.Module, G: nn.Module) -> None:
        super().__init__()
        self.F, self.G = F, G

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, H, W) → (B, c, H, W)."""
        x1, x2 = x.chunk(2, dim=1)
        y1 = self.F(x2) + x1
        y2 = self.G(y1) + x2
        return torch.cat((y1, y2), dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """x₂ = y₂ − G(y₁),  x₁ = y₁ − F(x₂)   (eq. 2)"""
        y1, y2 = y.chunk(2, dim=1)
        x2 = y2 - self.G(y1)
        x1 = y1 - self.F(x2)
        return torch.cat((x1, x2), dim=1)


@final
class CheckerboardSqueeze(nn.Module):
    """The squeeze of Figure 2, applied to each half of the channels separately. halves: 1 for the image, else 2."""

    def __init__(self, halves: int) -> None:
        super().__init__()
        self.halves = halves

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, 2H, 2W) → (B, 4c, H, W)."""
        return torch.cat([half[:, :, i::2, j::2] for half in x.chunk(self.halves, dim=1) for i, j in OFFSETS], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """(B, 4c, H, W) → (B, c, 2H, 2W)."""
        halves = []
        for half in y.chunk(self.halves, dim=1):
            batch, channels, height, width = half.shape
            x = torch.zeros(batch, channels // 4, 2 * height, 2 * width, device=y.device, dtype=y.dtype)
            for part, (i, j) in zip(half.chunk(4, dim=1), OFFSETS, strict=True):
                x[:, :, i::2, j::2] = part
            halves.append(x)
        return torch.cat(halves, dim=1)


@final
class PublishedRevNet:
    """`model` built from these layers, for images that need no padding. block: an alternative to `Block`."""

    def __init__(self, model: RevNet, block: Callable[[nn.Module, nn.Module], Layer] = Block) -> None:
        self.latent_shape = model.latent_shape
        self.layers: list[Layer] = [CheckerboardSqueeze(1)]
        for layer in model.chain.layers:
            branches = [_branch(layer.F), _branch(layer.G)] if isinstance(layer, AdditiveCoupling) else ()
            self.layers.append(block(*branches) if branches else CheckerboardSqueeze(2))

    def encode(self, x: Images) -> Latents:
        """(B, C, H, W) → (B, D)."""
        for layer in self.layers:
            x = layer(x)
        return x.flatten(1)

    def decode(self, z: Latents) -> Images:
        """(B, D) → (B, C, H, W)."""
        x = z.unflatten(1, self.latent_shape)
        for layer in reversed(self.layers):
            x = layer.inverse(x)
        return x


def memcnn_block(F: nn.Module, G: nn.Module) -> Layer:
    """Return memcnn's block. It frees its inputs in the forward pass and recomputes them in the backward pass, in both directions."""
    warnings.filterwarnings("ignore", module="memcnn")  # torch warns about calls of memcnn in every step
    import memcnn

    return memcnn.InvertibleModuleWrapper(memcnn.AdditiveCoupling(F, G), keep_input=False, keep_input_inverse=False)


def _branch(branch: nn.Module) -> nn.Module:
    assert isinstance(branch, ConvBranch)
    return nn.Sequential(branch.inner, nn.ReLU(), branch.outer)
