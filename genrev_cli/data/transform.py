"""The preparation of images: crop, resize, channels. It is stored in the header of prepared data and applied to any later picture."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from genrev_cli.data.depth import Range
from genrev_cli.data.pixels import DamagedImage, centre_crop, decode, to_array

Size = tuple[int, int]
"""Width and height in pixels."""

LARGEST, BOX, WHOLE = "largest", "box", "whole"
"""Crops: the largest centred rectangle with the result's aspect ratio, a centred box of fixed size, or no crop."""
_CROPS = (LARGEST, BOX, WHOLE)
_FILTERS = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Turn an image into (channels, H, W) uint8: crop, then resize.

    channels: 1 gray, 3 RGB. size: of the result; None keeps the size after the crop. crop: LARGEST, BOX or WHOLE. box: size of the BOX.
    source: the only size that images may have, None for any. filter: 'lanczos' or 'bicubic', of the resizing.
    values: the range that became 0 and 255, of arrays and of pictures with more than 8 bits that state none.
    """

    channels: int
    size: Size | None = None
    crop: str = LARGEST
    box: Size | None = None
    source: Size | None = None
    filter: str = "lanczos"
    values: Range | None = None

    def __call__(self, data: bytes) -> np.ndarray:
        """Decode an image file to (channels, H, W) uint8. Raises DamagedImage."""
        least = None if self.source or self.crop == BOX else self.size
        return to_array(self.on(decode(data, self.channels, least=least, values=self.values)))

    def on(self, picture: Image.Image) -> Image.Image:
        """Crop and resize a picture. Raises DamagedImage for a picture of another size than `source`."""
        if self.source and picture.size != self.source:
            raise DamagedImage(f"{_by(picture.size)}, but the images of this data set have {_by(self.source)}")
        if self.crop == LARGEST and self.size:
            picture = centre_crop(picture, largest_within(picture.size, self.size))
        elif self.crop == BOX and self.box:
            picture = centre_crop(picture, self.box)
        return picture if self.size in (None, picture.size) else picture.resize(self.size or picture.size, _FILTERS[self.filter])

    def for_pictures(self, image_shape: tuple[int, int, int]) -> "Transform":
        """Return the same preparation for pictures of any size, to `image_shape` (C, H, W).

        A BOX was chosen for images of one size, and WHOLE would distort others; so both become LARGEST for pictures of other sizes.
        The values of arrays (WHOLE) say nothing about pictures.
        """
        values = None if self.crop == WHOLE else self.values
        return replace(self, channels=image_shape[0], size=image_shape[:0:-1], crop=LARGEST, box=None, source=None, values=values)

    def table(self) -> dict[str, Any]:
        """Return the fields for a header, without those that are None."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        scaled = f"values {self.values[0]:g} to {self.values[1]:g} become 0 to 255" if self.values else ""
        placed = self._placing()
        return "; ".join(filter(None, (scaled, "" if scaled and placed == "none" else placed)))

    def _placing(self) -> str:
        """Return crop and size in words."""
        resized = f"resized to {_by(self.size)} ({self.filter.capitalize()})" if self.size else ""
        if self.crop == LARGEST:
            return f"largest centre {_kind(self.size)}, {resized}" if self.size else "none"
        if self.crop == BOX and self.box and self.source:
            left, top = ((whole - part) // 2 for whole, part in zip(self.source, self.box, strict=True))
            cropped = f"centre crop {_by(self.box)} (left {left}, top {top} of {_by(self.source)})"
            return f"{cropped}, {resized}" if resized else cropped
        return resized or "none"


def from_table(table: Any) -> Transform | None:
    """Return the transform that `Transform.table` described, or None for a table that describes none."""
    if not isinstance(table, dict) or table.get("crop") not in _CROPS or table.get("filter") not in _FILTERS:
        return None
    sizes = {key: tuple(table[key]) for key in ("size", "box", "source") if isinstance(table.get(key), list)}
    whole = all(len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size) for size in sizes.values())
    if table.get("channels") not in (1, 3) or not whole:
        return None
    values = table.get("values")
    if values is not None and not (isinstance(values, list) and len(values) == 2 and _increasing(values)):
        return None
    within = (values[0], values[1]) if values else None
    return Transform(channels=table["channels"], crop=table["crop"], filter=table["filter"], values=within, **sizes)


def _increasing(pair: list[Any]) -> bool:
    return all(isinstance(number, int | float) and math.isfinite(number) for number in pair) and pair[0] < pair[1]


def largest_within(whole: Size, aspect: Size) -> Size:
    """Return the size of the largest rectangle with an aspect ratio inside `whole`, rounded to pixels."""
    (width, height), (across, down) = whole, aspect
    if width * down > height * across:
        return max(1, round(height * across / down)), height
    return width, max(1, round(width * down / across))


def _by(size: Size | None) -> str:
    return f"{size[0]}x{size[1]}" if size else ""


def _kind(size: Size) -> str:
    return "square" if size[0] == size[1] else "rectangle"
