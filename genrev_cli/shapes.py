"""Names for the tensors that pass between modules. B batch, C channels, H height, W width, d active and D all latent dimensions."""

from typing import TypeAlias

import torch
from torch import Tensor

Images: TypeAlias = Tensor
"""(B, C, H, W) float, pixels in [0, 1] unless a model says otherwise."""

Pixels: TypeAlias = Tensor
"""(B, C, H, W) uint8, as stored in files."""

Latents: TypeAlias = Tensor
"""(B, D) float: the whole output of an encoder."""

Codes: TypeAlias = Tensor
"""(B, d) float: the active dimensions of a latent."""

Labels: TypeAlias = Tensor
"""(B,) int64."""

Scalar: TypeAlias = Tensor
"""() float."""

Scores: TypeAlias = Tensor
"""(B,) float: one number per image or code, for example a discriminator's logit."""


def to_float(pixels: Pixels) -> Images:
    """0 … 255 → [0, 1], on whichever device the pixels are."""
    return pixels.to(torch.float32).div_(255)


def to_pixels(images: Images) -> Pixels:
    """[0, 1] → 0 … 255, rounded to the nearest; what lies outside is clamped."""
    return images.float().clamp(0, 1).mul(255).round().to(torch.uint8)
