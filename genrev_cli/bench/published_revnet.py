"""The layers of github.com/robintibor/generative-reversible, on the weights of a `RevNet`: what its authors trained with.

Every block splits one tensor and joins it again; the squeeze joins strided slices, and its inverse writes slices into zeros; gradients are
autograd's. (Their blocks hand the streams on in turn, y = (F(x₁) + x₂, G(y₁) + x₁); here they stand as in the paper's equation 1 and in
genrev, at the same cost, so that both are one network.)
"""

import warnings
from collections.abc import Callable
from typing import Protocol, final

import torch
from torch import Tensor, nn

from genrev_cli.models.invertible import AdditiveCoupling
from genrev_cli.models.revnet import RevNet
from genrev_cli.shapes import Images, Latents

OFFSETS = ((0, 0), (1, 1), (0, 1), (1, 0))


class Layer(Protocol):
    """A bijection of single tensors."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def inverse(self, y: Tensor) -> Tensor: ...


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
    """Fig. 2; of each half of the channels by itself, but for the image's."""

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
    """`model`, of images that need no padding, by these layers. block: another one that maps and inverts as `Block` does."""

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
    """memcnn's, which computes its inputs again in the backward pass and frees them in the forward pass, in either direction."""
    warnings.filterwarnings("ignore", module="memcnn")  # torch's, on what memcnn takes from it, in every process and step anew
    import memcnn

    return memcnn.InvertibleModuleWrapper(memcnn.AdditiveCoupling(F, G), keep_input=False, keep_input_inverse=False)


def _branch(branch: nn.Module) -> nn.Module:
    return nn.Sequential(branch.inner, nn.ReLU(), branch.outer)
