"""The base class of image sources, and the source whose images are arrays."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Required, TypedDict, Unpack

import numpy as np

from genrev_cli.data.pixels import to_array
from genrev_cli.data.transform import WHOLE, Size, Transform
from genrev_cli.errors import FileError
from genrev_cli.files.pictures import to_pil
from genrev_cli.files.rows import Rows

TRAIN, VAL, TEST = range(3)
"""Values of `Source.split`: indices into files.images.SPLITS."""

_BLOCK_BYTES = 1 << 21


@dataclass(frozen=True)
class Damage:
    """An image file that cannot be used: its location, its name within the source, and the reason."""

    where: str
    name: str
    reason: str


def refuse_damaged(damaged: Sequence[Damage], skip: bool) -> None:
    """Raise FileError for the first damaged image, unless damaged images are skipped."""
    if damaged and not skip:
        raise FileError(f"{damaged[0].where}: not a usable image ({damaged[0].reason}); repair or remove it, or pass --skip-damaged")


@dataclass(frozen=True)
class Block:
    """Decoded images in order. rows: (k,) row numbers in the source. pixels: (k, C, H, W) uint8. damaged: images left out between them."""

    rows: np.ndarray
    pixels: np.ndarray
    damaged: Sequence[Damage] = ()


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A set of n images in a fixed order.

    labels: (n,) int64, −1 for unknown. split: (n,) uint8 of TRAIN, VAL, TEST. classes: names of the labels.
    transform: how the pixels are made. split_rule, class_rule: descriptions for the user. seed: seed of a random split. damaged: images
    found damaged before decoding, not counted in n. attributes: (n, A) int8, 1 has, 0 has not, −1 unknown; None without any.
    attribute_names: of the A attributes. release: of several releases of the source, the one that was read.
    """

    name: str
    image_shape: tuple[int, int, int]
    transform: Transform
    labels: np.ndarray
    split: np.ndarray
    split_rule: str
    seed: int | None = None
    classes: tuple[str, ...] = ()
    damaged: tuple[Damage, ...] = ()
    class_rule: str = ""
    attributes: np.ndarray | None = None
    attribute_names: tuple[str, ...] = ()
    release: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Yield all images in order, in blocks of about two megabytes; a caller that stops early must close the iterator."""

    @abstractmethod
    def checksums(self) -> dict[str, str]:
        """Return checksums of the raw files by name; they are complete after `blocks` has ended."""


def images_per_block(image_shape: tuple[int, int, int]) -> int:
    """Return the number of images in a block."""
    return max(1, _BLOCK_BYTES // int(np.prod(image_shape)))


@dataclass(frozen=True, kw_only=True)
class ArraySource(Source):
    """Images in arrays. parts: consecutive arrays (k, C, h, w) uint8, in memory or in files, of which the first n images are used."""

    parts: Sequence[Rows]
    sums: dict[str, str] = field(default_factory=dict)

    def blocks(self) -> Iterator[Block]:
        """Yield all images in order, resized to `image_shape`."""
        done, step = 0, images_per_block(self.image_shape)
        for part in self.parts:
            used = min(part.shape[0], len(self) - done)
            for start in range(0, used, step):
                pixels = resize_all(part[start : min(start + step, used)], self.image_shape[1:])
                yield Block(np.arange(done, done + len(pixels)), pixels)
                done += len(pixels)

    def checksums(self) -> dict[str, str]:
        return self.sums


class _Description(TypedDict, total=False):
    """Fields of an ArraySource that `array_source` passes on."""

    name: Required[str]
    split_rule: Required[str]
    classes: tuple[str, ...]
    sums: dict[str, str]
    seed: int | None


def array_source(
    *,
    size: Size | None,
    limit: int,
    parts: Sequence[Rows],
    labels: np.ndarray,
    split: np.ndarray,
    values: tuple[float, float] | None = None,
    **description: Unpack[_Description],
) -> ArraySource:
    """Return an ArraySource of the first `limit` images (0: all), resized to `size` = (W, H); None keeps theirs.

    values: the range that was scaled to 0 … 255, for the header.
    """
    channels, height, width = parts[0].shape[1:]
    end = limit or len(labels)
    return ArraySource(
        image_shape=(channels, size[1], size[0]) if size else (channels, height, width),
        transform=Transform(channels=channels, size=None if size == (width, height) else size, crop=WHOLE, values=values),
        parts=parts,
        labels=labels[:end].astype(np.int64),
        split=split[:end].astype(np.uint8),
        **description,
    )


def resize_all(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (k, C, h, w) uint8 to (k, C, *size) uint8 with Lanczos resampling (antialiased when it shrinks)."""
    if pixels.shape[2:] == size:
        return pixels
    transform = Transform(channels=pixels.shape[1], size=size[::-1], crop=WHOLE)
    return np.stack([to_array(transform.on(to_pil(p))) for p in pixels])
