"""Decode image files of any format, depth, orientation or transparency to pixels."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from genrev_cli.data import depth
from genrev_cli.data.depth import BYTES, FULL, Deep, Range
from genrev_cli.data.formats import pillow_formats
from genrev_cli.data.large import bands, factor_of, is_large, reduced

_BAND = 256  # rows
_ORIENTATION = 0x0112  # EXIF tag; values 5 … 8 swap width and height
_GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
_EXIF_TEXTS = ("Raw profile type exif", "XML:com.adobe.xmp")  # text chunks of a PNG in which Pillow finds an orientation


class DamagedImage(Exception):
    """These bytes are not a usable image; the message says why."""


@dataclass(frozen=True)
class Probe:
    """The content of an image's header.

    size: (width, height) of the upright image. gray: True if one channel is enough. deep: set for more than 8 bits of unknown range.
    """

    size: tuple[int, int]
    gray: bool
    deep: Deep | None = None


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Yield the opened image; any exception in the block becomes DamagedImage.

    Pillow's decoders can raise almost any exception for broken bytes (SyntaxError, IndexError, struct.error …).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual metadata, and Pillow's own limit
            with _without_limit():
                image = Image.open(io.BytesIO(data), formats=pillow_formats(data))
            with image:
                if image.format == "TIFF":
                    with _without_stderr():
                        yield image
                else:
                    yield image
    except DamagedImage:
        raise
    except UnidentifiedImageError as error:
        raise DamagedImage("its content has no known image format") from error
    except Exception as error:
        raise DamagedImage(str(error) or type(error).__name__) from error


@contextmanager
def _without_limit() -> Iterator[None]:
    """Let Pillow open headers of any size: its own limit would come before those of data/large.py, which reduce large pictures."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Silence stderr in the block: libtiff prints messages about broken bytes there, bypassing Python."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def probe(data: bytes, least: tuple[int, int] | None = None) -> Probe:
    """Return size and kind, from the header only. Deep pixels of unknown range are decoded, to find their peak.

    least: as in `decode`. Raises DamagedImage.
    """
    with opened(data) as image:
        if is_large(image):
            factor_of(image, least)
        if image.format == "PNG" and _exif_behind_pixels(data):
            image.load()  # Pillow reads what comes after the pixels only with them
        # If a PNG has no EXIF data, Pillow would decode all pixels to look for them at the end.
        known = image.format != "PNG" or any(name in image.info for name in ("exif", *_EXIF_TEXTS))
        swapped = (image.getexif() if known else {}).get(_ORIENTATION, 1) in (5, 6, 7, 8)
        size = image.size[::-1] if swapped else image.size
        return Probe(size, image.mode in _GRAY, _deep(image))


def _exif_behind_pixels(data: bytes) -> bool:
    """Return True if a PNG has EXIF data behind its pixels. Reads only the heads of its chunks."""
    place, pixels = 8, False
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        text = data[place + 8 : place + 32].partition(b"\0")[0].decode("latin-1") if kind in (b"tEXt", b"zTXt", b"iTXt") else ""
        pixels |= kind == b"IDAT"
        if pixels and (kind == b"eXIf" or text in _EXIF_TEXTS):
            return True
        place += 12 + length
    return False


def _deep(image: Image.Image) -> Deep | None:
    """Return kind and peak of deep pixels whose range the file does not state, else None."""
    kind = depth.kind_of(image)
    if not kind or depth.stated_range(image):
        return None
    if kind == depth.FLOAT:
        return Deep(kind, -1)
    peak = max(float(np.asarray(band).max()) for band, _ in bands(image, _BAND))
    return Deep(kind, peak * FULL[1] / 255 if kind == depth.COLOUR_16 else peak)


def decode(data: bytes, channels: int, *, least: tuple[int, int] | None = None, values: Range | None = None) -> Image.Image:
    """Return the (first) picture, upright, as 8-bit gray (channels 1) or RGB (channels 3). Transparent parts become white.

    least: (width, height) that is needed. A picture of more than 50 megapixels is reduced by a whole factor while it is decoded, and
    refused without `least`. values: the range of deep pixels that state none; None takes 16 bits as 0 to 65535.

    Raises DamagedImage.
    """
    with opened(data) as image:
        factor = factor_of(image, least) if is_large(image) else 1
        if isinstance(image, JpegImageFile) and factor > 1:
            image.draft(None, (image.width // factor, image.height // factor))
            factor = 1
        kind = depth.kind_of(image)  # before the pixels are loaded, after which Pillow has forgotten a part of it
        image.load()
        if factor == 1:
            ImageOps.exif_transpose(image, in_place=True)
            return _to_8_bit(image, channels, _range(image, kind, values))
        within = _range(image, kind, values)
        small = reduced(image, factor, lambda band: _to_8_bit(band, channels, within, transparency=image.info.get("transparency")))
        small.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
        ImageOps.exif_transpose(small, in_place=True)
        return small


def _range(image: Image.Image, kind: str, given: Range | None) -> Range | None:
    """Return the values of a deep picture that become 0 and 255, None for a picture of 8 bits."""
    if kind == depth.COLOUR_16 and given not in (None, FULL):
        raise DamagedImage("of 16-bit colours only the upper 8 bits can be read, so --values does not apply; save it with 8 bits")
    if not kind or kind == depth.COLOUR_16:
        return None
    found = depth.stated_range(image) or given
    if found is None and kind == depth.FLOAT:
        raise DamagedImage("floating-point pixels of unknown range; pass --values LOW,HIGH, or save it with 8 or 16 bits")
    if found is None and kind == depth.GRAY_32 and _within(image, BYTES):
        return BYTES  # as `depth.decided_range` decides for a set
    if found is None and kind == depth.GRAY_32 and not _within(image, FULL):
        raise DamagedImage("32-bit pixels of unknown range; pass --values LOW,HIGH, or save it with 8 or 16 bits")
    return found or FULL


def _within(image: Image.Image, limits: Range) -> bool:
    return all(limits[0] <= np.asarray(band).min() and np.asarray(band).max() <= limits[1] for band, _ in bands(image, _BAND))


def _to_8_bit(image: Image.Image, channels: int, within: Range | None, transparency: object = None) -> Image.Image:
    """Return a picture, or a band of one, in mode L or RGB. transparency: the whole picture's, which a band lacks."""
    if within:
        image = Image.fromarray(depth.to_bytes(np.asarray(image), within))
    elif transparency is not None and "transparency" not in image.info:
        image.info["transparency"] = transparency
    if has_alpha(image):
        image = _on_white(image)
    mode = "L" if channels == 1 else "RGB"
    return image.convert(mode)


def has_alpha(image: Image.Image) -> bool:
    """Return True if an image may have transparent parts."""
    return image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info


def _on_white(picture: Image.Image) -> Image.Image:
    """Return a picture with its transparent parts over white, made in bands: four copies of a large picture may not fit into memory."""
    whole = Image.new("RGB", picture.size)
    for band, top in bands(picture, _BAND):
        band = band.convert("RGBA")
        whole.paste(Image.alpha_composite(Image.new("RGBA", band.size, "white"), band).convert("RGB"), (0, top))
    return whole


def centre_crop(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the centre of width × height pixels, with left = ⌊(its width − width) / 2⌋ and top = ⌊(its height − height) / 2⌋."""
    left, top = (picture.width - size[0]) // 2, (picture.height - size[1]) // 2
    return picture if size == picture.size else picture.crop((left, top, left + size[0], top + size[1]))


def to_array(picture: Image.Image) -> np.ndarray:
    """Return the pixels (C, H, W) uint8 of a picture in mode L or RGB."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
