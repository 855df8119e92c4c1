"""Decode image files of any format, depth, orientation or transparency to pixels."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 50_000_000
"""Limit that keeps decoding below a gigabyte of memory in every format; a file of 2 kB can claim more pixels."""

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")

# Pillow tries only these decoders. Otherwise a file's content could select any decoder, and the one for EPS starts Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
_BAND = 256  # rows
_ORIENTATION = 0x0112  # EXIF tag; values 5 … 8 swap width and height
_GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")


class DamagedImage(Exception):
    """These bytes are not a usable image; the message says why."""


@dataclass(frozen=True)
class Probe:
    """The content of an image's header. size: (width, height) of the upright image. gray: True if one channel is enough."""

    size: tuple[int, int]
    gray: bool


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Yield the opened image; any exception in the block becomes DamagedImage.

    Pillow's decoders can raise almost any exception for broken bytes (SyntaxError, IndexError, struct.error …).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual metadata, and Pillow's own limit
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DamagedImage(f"{image.width}x{image.height}, more than {MAX_PIXELS:,} pixels")
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


def probe(data: bytes) -> Probe:
    """Return size and kind, from the header only.

    Raises DamagedImage.
    """
    with opened(data) as image:
        # If a PNG's EXIF data come after the pixels, Pillow would decode all pixels to find them.
        exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
        swapped = exif.get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return Probe(image.size[::-1] if swapped else image.size, image.mode in _GRAY)


def decode(data: bytes, channels: int) -> Image.Image:
    """Return the (first) picture, upright, as 8-bit gray (channels 1) or RGB (channels 3). Transparent parts become white.

    Raises DamagedImage.
    """
    with opened(data) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "F":
            raise DamagedImage("floating-point pixels of unknown range; save it with 8 or 16 bits")
        if image.mode.startswith("I"):
            picture = _from_16_bit(image)
        elif has_alpha(image):
            picture = _on_white(image)
        else:
            picture = image
        return picture.convert("L" if channels == 1 else "RGB")


def has_alpha(image: Image.Image) -> bool:
    """Return True if an image may have transparent parts."""
    return image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info


def _on_white(picture: Image.Image) -> Image.Image:
    """Return a picture with its transparent parts over white, made in bands: four copies of a large picture may not fit into memory."""
    whole = Image.new("RGB", picture.size)
    for top in range(0, picture.height, _BAND):
        band = picture.crop((0, top, picture.width, min(top + _BAND, picture.height))).convert("RGBA")
        whole.paste(Image.alpha_composite(Image.new("RGBA", band.size, "white"), band).convert("RGB"), (0, top))
    return whole


def _from_16_bit(picture: Image.Image) -> Image.Image:
    """Map 0 … 65535 to 0 … 255 by rounding v / 257, so that white stays white; Pillow's own conversion would clip."""
    values = np.asarray(picture).astype(np.int32)
    if values.min() < 0 or values.max() > 65535:
        raise DamagedImage("32-bit pixels of unknown range; save it with 8 or 16 bits")
    values += 128
    values //= 257
    return Image.fromarray(values.astype(np.uint8))


def centre_crop(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the centre of width × height pixels, with left = ⌊(its width − width) / 2⌋ and top = ⌊(its height − height) / 2⌋."""
    left, top = (picture.width - size[0]) // 2, (picture.height - size[1]) // 2
    return picture if size == picture.size else picture.crop((left, top, left + size[0], top + size[1]))


def to_array(picture: Image.Image) -> np.ndarray:
    """Return the pixels (C, H, W) uint8 of a picture in mode L or RGB."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
