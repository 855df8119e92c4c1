"""The bytes of an image file → pixels, whatever the format, depth, orientation or transparency."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 50_000_000
"""As many as are decoded within a gigabyte, of the format that needs most; a file of 2 kB can ask for them."""

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")

# Named, so that a file cannot choose another decoder by its content: the one for EPS would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
_BAND = 256  # rows
_ORIENTATION = 0x0112  # EXIF tag; 5 … 8 turn the image by 90°
_GRAY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")


class DamagedImage(Exception):
    """These bytes are not a usable image; the message says why."""


@dataclass(frozen=True)
class Probe:
    """What an image's header says. size: (width, height) once upright. gray: one channel is enough for it."""

    size: tuple[int, int]
    gray: bool


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The opened image; whatever Pillow raises meanwhile is DamagedImage.

    Its decoders raise nearly anything on broken bytes (SyntaxError, IndexError, struct.error …), hence the wide net.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata, and Pillow's own limit
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DamagedImage(f"{image.width}x{image.height}, more pixels than an image can sensibly have")
                if image.format == "TIFF":
                    with _without_stderr():
                        yield image
                else:
                    yield image
    except DamagedImage:
        raise
    except UnidentifiedImageError as error:
        raise DamagedImage("its content is of no known image format") from error
    except Exception as error:
        raise DamagedImage(str(error) or type(error).__name__) from error


@contextmanager
def _without_stderr() -> Iterator[None]:
    """libtiff prints what it thinks of broken bytes, past Python."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def probe(data: bytes) -> Probe:
    """Size and kind, from the header alone.

    Raises DamagedImage.
    """
    with opened(data) as image:
        # For a PNG that does not begin with its EXIF data, Pillow would decode all pixels to look behind them.
        exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
        turned = exif.get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return Probe(image.size[::-1] if turned else image.size, image.mode in _GRAY)


def decode(data: bytes, channels: int) -> Image.Image:
    """The (first) picture, upright, as 8-bit gray (channels 1) or RGB (3). Transparent parts show white.

    Raises DamagedImage.
    """
    with opened(data) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "F":
            raise DamagedImage("floating-point pixels, whose range is not known; save it with 8 or 16 bits")
        if image.mode.startswith("I"):
            picture = _from_16_bit(image)
        elif has_alpha(image):
            picture = _on_white(image)
        else:
            picture = image
        return picture.convert("L" if channels == 1 else "RGB")


def has_alpha(image: Image.Image) -> bool:
    """Whether an image may have transparent parts."""
    return image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info


def _on_white(picture: Image.Image) -> Image.Image:
    """A picture with transparent parts over white, in bands: of a large one, four copies at once would not fit into memory."""
    whole = Image.new("RGB", picture.size)
    for top in range(0, picture.height, _BAND):
        band = picture.crop((0, top, picture.width, min(top + _BAND, picture.height))).convert("RGBA")
        whole.paste(Image.alpha_composite(Image.new("RGBA", band.size, "white"), band).convert("RGB"), (0, top))
    return whole


def _from_16_bit(picture: Image.Image) -> Image.Image:
    """0 … 65535 → 0 … 255 by division by 257, so that white stays white; Pillow's own conversion would clip."""
    values = np.asarray(picture).astype(np.int32)
    if values.min() < 0 or values.max() > 65535:
        raise DamagedImage("32-bit pixels, whose range is not known; save it with 8 or 16 bits")
    values += 128
    values //= 257
    return Image.fromarray(values.astype(np.uint8))


def centre_crop(picture: Image.Image, side: int) -> Image.Image:
    """The centre side × side; with an odd remainder, the box stands half a pixel towards the top left: left = ⌊(width − side) / 2⌋."""
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def to_array(picture: Image.Image) -> np.ndarray:
    """(C, H, W) uint8 of a picture in mode L or RGB."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
