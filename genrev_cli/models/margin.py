"""Margins: pixels around an image that make its sides multiples of a number, so that networks which halve them take images of any size."""

from dataclasses import KW_ONLY, dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad

Shape = tuple[int, int, int]


@final
@dataclass(frozen=True)
class Margin:
    """left, right, top, bottom: pixels on each side. value: of these pixels, where a network pads by a constant. No pixels by default.

    Without pixels every method returns its input itself, so networks compute what they would compute without a margin.
    """

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0
    _: KW_ONLY
    value: float = 0.0

    @classmethod
    def centred(cls, image_shape: Shape, halvings: int) -> "Margin":
        """Return the smallest margin on all sides after which both sides can be halved `halvings` times."""
        (top, bottom), (left, right) = ((extra // 2, extra - extra // 2) for extra in _missing(image_shape, halvings))
        return cls(left, right, top, bottom)

    @classmethod
    def after(cls, image_shape: Shape, halvings: int, value: float) -> "Margin":
        """Return the smallest such margin at the right and at the bottom: the first rows stay the image's."""
        bottom, right = _missing(image_shape, halvings)
        return cls(right=right, bottom=bottom, value=value)

    def __bool__(self) -> bool:
        return any((self.left, self.right, self.top, self.bottom))

    def grown(self, image_shape: Shape) -> Shape:
        """Return the shape with the margin: (C, H, W) → (C, H', W')."""
        channels, height, width = image_shape
        return channels, height + self.top + self.bottom, width + self.left + self.right

    def pad(self, x: Tensor) -> Tensor:
        """Surround images with pixels of `value`: (B, C, H, W) → (B, C, H', W')."""
        return pad(x, (self.left, self.right, self.top, self.bottom), value=self.value) if self else x

    def crop(self, padded: Tensor) -> Tensor:
        """Return what is inside the margin: (B, C, H', W') → (B, C, H, W)."""
        if not self:
            return padded
        height, width = padded.shape[-2:]
        return padded[..., self.top : height - self.bottom, self.left : width - self.right]

    def surround(self, x: Tensor, border: Tensor) -> Tensor:
        """Surround images with the margin of `border`: (B, C, H, W), (B, C, H', W') → (B, C, H', W')."""
        if not self:
            return x
        inside = pad(torch.ones(x.shape[-2:], dtype=torch.bool, device=x.device), (self.left, self.right, self.top, self.bottom))
        return torch.where(inside, self.pad(x), border)


NO_MARGIN = Margin()


def _missing(image_shape: Shape, halvings: int) -> tuple[int, int]:
    """Return the pixels that height and width lack to be multiples of 2^halvings."""
    _, height, width = image_shape
    return -height % 2**halvings, -width % 2**halvings
