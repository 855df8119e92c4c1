"""The bytes of an image file → pixels, whatever the format, depth, orientation or transparency."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")

# Named, so that a file cannot choose another decoder by its content: the one for EPS would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
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
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The opened image; whatever Pillow raises meanwhile is DamagedImage.

    Its decoders raise nearly anything on broken bytes (SyntaxError, IndexError, struct.error …), hence the wide net.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                yield image
    except UnidentifiedImageError as error:
        raise DamagedImage("its content is of no known image format") from error
    except Exception as error:
        raise DamagedImage(str(error) or type(error).__name__) from error


def probe(data: bytes) -> Probe:
    """Size and kind, from the header alone.

    Raises DamagedImage.
    """
    with _opened(data) as image:
        # For a PNG that does not begin with its EXIF data, Pillow would decode all pixels to look behind them.
        exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
        turned = exif.get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return Probe(image.size[::-1] if turned else image.size, image.mode in _GRAY)


def decode(data: bytes, channels: int) -> Image.Image:
    """The (first) picture, upright, as 8-bit gray (channels 1) or RGB (3). Transparent parts show white.

    Raises DamagedImage.
    """
    with _opened(data) as image:
        image.load()
        picture = ImageOps.exif_transpose(image)
        if picture.mode == "F":
            raise DamagedImage("floating-point pixels, whose range is not known; save it with 8 or 16 bits")
        if picture.mode.startswith("I"):
            picture = _from_16_bit(picture)
        elif picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        return picture.convert("L" if channels == 1 else "RGB")


def _from_16_bit(picture: Image.Image) -> Image.Image:
    """0 … 65535 → 0 … 255 by division by 257, so that white stays white; Pillow's own conversion would clip."""
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise DamagedImage("32-bit pixels, whose range is not known; save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def centre_crop(picture: Image.Image, side: int) -> Image.Image:
    """The centre side × side; with an odd remainder, the box stands half a pixel towards the top left: left = ⌊(width − side) / 2⌋."""
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def to_array(picture: Image.Image) -> np.ndarray:
    """(C, H, W) uint8 of a picture in mode L or RGB."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
