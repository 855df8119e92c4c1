"""What a source of images is, and the one whose pixels are read from arrays rather than from image files."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from genrev_cli.data.pixels import to_array
from genrev_cli.errors import FileError

TRAIN, VAL, TEST = range(3)
"""Values of `Source.split`: indices into files.images.SPLITS."""

_BLOCK_BYTES = 1 << 21


@dataclass(frozen=True)
class Damage:
    """An image file that cannot be used: where it is, its name within the source, and why."""

    where: str
    name: str
    reason: str


def refuse_damaged(damaged: Sequence[Damage], skip: bool) -> None:
    """Raise FileError for the first damaged image, unless damaged ones are to be skipped."""
    if damaged and not skip:
        raise FileError(f"{damaged[0].where}: not a usable image ({damaged[0].reason}); mend or remove it, or pass --skip-damaged")


@dataclass(frozen=True)
class Block:
    """Decoded images in order. rows: (k,) their places in the source. pixels: (k, C, H, W) uint8. damaged: those left out in between."""

    rows: np.ndarray
    pixels: np.ndarray
    damaged: Sequence[Damage] = ()


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A set of n images in a fixed order.

    labels: (n,) int64, −1 unknown. split: (n,) uint8 of TRAIN, VAL, TEST. classes: the labels' names.
    transform, split_rule: what was done, for people. seed: of a random split. damaged: found so before decoding, not among the n.
    """

    name: str
    image_shape: tuple[int, int, int]
    transform: str
    labels: np.ndarray
    split: np.ndarray
    split_rule: str
    seed: int | None = None
    classes: tuple[str, ...] = ()
    damaged: tuple[Damage, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """All images in order, some two megabytes at a time; the caller closes the iterator when it stops early."""

    @abstractmethod
    def checksums(self) -> dict[str, str]:
        """What identifies the raw files, by name; complete once `blocks` has run to its end."""


def images_per_block(image_shape: tuple[int, int, int]) -> int:
    """How many images make a block."""
    return max(1, _BLOCK_BYTES // int(np.prod(image_shape)))


@dataclass(frozen=True, kw_only=True)
class ArraySource(Source):
    """Images that come as arrays: parts of (k, C, h, w) uint8, one after another, of which the first n are used."""

    parts: Sequence[np.ndarray]
    sums: dict[str, str] = field(default_factory=dict)

    def blocks(self) -> Iterator[Block]:
        """All images in order, resized where that is asked for."""
        done, step = 0, images_per_block(self.image_shape)
        for part in self.parts:
            used = part[: len(self) - done]
            for start in range(0, len(used), step):
                pixels = resize_all(used[start : start + step], self.image_shape[1:])
                yield Block(np.arange(done, done + len(pixels)), pixels)
                done += len(pixels)

    def checksums(self) -> dict[str, str]:
        return self.sums


def array_source(
    *, size: int, limit: int, parts: Sequence[np.ndarray], labels: np.ndarray, split: np.ndarray, **known: object
) -> ArraySource:
    """An ArraySource of the first `limit` images (0: all), resized to size × size (0: as they are)."""
    channels, *side = parts[0].shape[1:]
    end = limit or len(labels)
    return ArraySource(
        image_shape=(channels, size, size) if size else (channels, *side),
        transform=f"resized to {size}x{size} (Lanczos)" if size and [size, size] != side else "none",
        parts=parts,
        labels=labels[:end].astype(np.int64),
        split=split[:end].astype(np.uint8),
        **known,
    )


def resize_all(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(k, C, h, w) uint8 → (k, C, *size) uint8, by Lanczos resampling (antialiased when it shrinks)."""
    if pixels.shape[2:] == size:
        return pixels
    channels = pixels.shape[1]
    pictures = (Image.fromarray(p[0] if channels == 1 else np.ascontiguousarray(p.transpose(1, 2, 0))) for p in pixels)
    return np.stack([to_array(picture.resize(size[::-1], Image.Resampling.LANCZOS)) for picture in pictures])
