"""Pixels with more than 8 bits: which values are black and white, and their conversion to 8 bits.

A file of 16 bits can hold values of 12 bits, which would come out almost black, and a file of 32 bits rarely says where white is. So the
range is taken from the file where it states one, and otherwise decided for a whole set of pictures.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from genrev_cli.errors import UsageError

Range = tuple[float, float]
"""The values that become 0 and 255."""

FULL: Range = (0, 65535)
BYTES: Range = (0, 255)
GRAY_16, COLOUR_16, GRAY_32, FLOAT = "16-bit", "16-bit colour", "32-bit", "floating-point"
"""Kinds of deep pixels. Of COLOUR_16 Pillow reads the upper 8 bits only."""

_BITS, _MAX_VALUE = 258, 281  # TIFF tags
_BAND = 256  # rows
_DEPTHS = (8, 10, 12, 14)  # bits of cameras and scanners that store them in 16


class UnknownRange(ValueError):
    """The values of these pixels have no known or allowed range; the message says why."""


@dataclass(frozen=True)
class Deep:
    """Pixels with more than 8 bits whose range the file does not state. peak: the largest value; −1 if it was not looked for."""

    kind: str
    peak: float


def kind_of(image: Image.Image) -> str:
    """Return the kind of the deep pixels of an opened picture, '' for 8 bits."""
    if image.mode == "F":
        return FLOAT
    if image.mode.startswith("I"):
        bits = _tag(image, _BITS) if image.format == "TIFF" else 16
        return GRAY_32 if bits > 16 else GRAY_16
    raw = [str(entry[3]) for entry in getattr(image, "tile", [])] if image.format in ("PNG", "TIFF") else []
    return COLOUR_16 if any(";16" in args for args in raw) else ""


def stated_range(image: Image.Image) -> Range | None:
    """Return the range that a deep picture states, or None.

    TIFF: the largest value (MaxSampleValue), or fewer than 16 bits. Netpbm and JPEG 2000 state their largest value, and Pillow scales to
    65535. A PNG's sBIT chunk does not count: its values are to fill all 16 bits in any case (PNG specification, section 11.3.2.5).
    """
    if image.format in ("PPM", "JPEG2000"):
        return FULL
    if image.format != "TIFF":
        return None
    bits, most = _tag(image, _BITS), _tag(image, _MAX_VALUE)
    if 0 < most < 2**bits - 1:
        return 0, most
    return (0, 2**bits - 1) if 8 < bits < 16 else None


def _tag(image: Image.Image, tag: int) -> int:
    """Return the largest entry of a TIFF's tag, 0 if it has none."""
    found = image.tag_v2.get(tag, 0) if isinstance(image, TiffImageFile) else 0
    return int(max(found)) if isinstance(found, tuple) else int(found)


def to_bytes(values: np.ndarray, within: Range) -> np.ndarray:
    """Return round(255 (v − low) / (high − low)) as uint8, computed in bands of rows to save memory.

    Raises UnknownRange for a value outside of the range, by more than rounding, or a NaN.
    """
    low, high = within
    out = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _BAND):
        band = np.rint((values[top : top + _BAND].astype(np.float64) - low) * (255 / (high - low)))
        if band.size and not (band.min() >= 0 and band.max() <= 255):
            worst = values[top : top + _BAND][~((band >= 0) & (band <= 255))][0]
            raise UnknownRange(f"a value of {worst:g} is outside of {low:g} to {high:g}; pass the right --values LOW,HIGH")
        out[top : top + _BAND] = band
    return out


def decided_range(found: Iterable[Deep], given: Range | None, where: str, note: Callable[[str], None]) -> Range | None:
    """Return the range for all deep pictures of a set; None if each is read on its own, 16 bits as 0 to 65535.

    Raises UsageError, naming `where`, if the values leave the range in doubt.
    """
    found = list(found)
    if given and not found:
        raise UsageError(f"{where}: --values does not apply; the pictures have 8 bits per value, or state their largest value")
    deep = [one for one in found if one.kind in (GRAY_16, COLOUR_16, GRAY_32)]
    if given or not deep:
        return given
    peak = max(one.peak for one in deep)
    wide = any(one.kind == GRAY_32 for one in deep)
    if wide and 1 < peak <= BYTES[1] and all(one.kind == GRAY_32 for one in deep):
        note(f"{where}: the values of the 32-bit pictures end at {peak:g} and are taken as 0 to 255; --values LOW,HIGH sets another range")
        return BYTES
    if 0 < peak < 2 ** _DEPTHS[-1]:
        bits = next(bits for bits in _DEPTHS if peak < 2**bits)
        raise UsageError(
            f"{where}: the pictures have 16 or more bits per value, but no value above {peak:g}; "
            f"pass --values 0,{2**bits - 1} if they have {bits} bits, or --values 0,65535 if they are dark"
        )
    return FULL if wide and peak <= FULL[1] else None
