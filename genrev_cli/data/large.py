"""Pictures of more than 50 megapixels: whether and by how much they are reduced while they are decoded, so that memory stays bounded."""

from collections.abc import Callable, Iterator

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

MAX_PIXELS = 50_000_000
"""Limit that keeps decoding below a gigabyte of memory in every format; a file of 2 kB can claim more pixels."""
MAX_BYTES = 400_000_000
"""Limit of the decoded pixels of a larger picture that is reduced afterwards."""
MAX_COEFFICIENTS = 600_000_000
"""Limit of a progressive JPEG that is reduced: bytes of its coefficients, which libjpeg keeps for the whole picture."""

_FORMATS = ("PNG", "BMP", "TIFF", "PPM")  # decoded by Pillow into one buffer; the other formats need several
_JPEG_FACTORS = (8, 4, 2)  # libjpeg computes these from the coefficients, without the whole picture
_FACTORS = tuple(range(32, 1, -1))
_BAND = 256  # rows that are converted at once


class TooLarge(ValueError):
    """A picture would take too much memory; the message has the cure."""


def is_large(image: Image.Image) -> bool:
    """Return True if an opened picture has more than MAX_PIXELS."""
    return image.width * image.height > MAX_PIXELS


def factor_of(image: Image.Image, least: tuple[int, int] | None) -> int:
    """Return the factor by which a large picture is reduced, so that (width, height) stay at least `least`, if possible twice that.

    Raises TooLarge if there is none, or `least` is None.
    """
    if least is None:
        raise TooLarge(f"{_size(image)}, more than {MAX_PIXELS:,} pixels; pass a --size to which it can be reduced, or resize it first")
    _require_memory(image)
    ratio = min(min(image.size) / min(least), max(image.size) / max(least), min(image.size) / max(least))
    fitting = [factor for factor in (_JPEG_FACTORS if isinstance(image, JpegImageFile) else _FACTORS) if factor <= ratio]
    factor = next((factor for factor in fitting if 2 * factor <= ratio), fitting[-1] if fitting else 1)
    if image.width * image.height > MAX_PIXELS * factor**2:
        raise TooLarge(f"{_size(image)}, too large to be reduced to this --size; choose a smaller --size, or resize it first")
    return factor


def _require_memory(image: Image.Image) -> None:
    pixels = image.width * image.height
    if isinstance(image, JpegImageFile):
        if image.info.get("progressive") and 2 * pixels * _samples_per_pixel(image) > MAX_COEFFICIENTS:
            raise TooLarge(f"{_size(image)} in a progressive JPEG; save it as a baseline JPEG, or resize it first")
    elif image.format not in _FORMATS or pixels * bytes_per_pixel(image) > MAX_BYTES:
        raise TooLarge(f"{_size(image)}, too large for {image.format}; resize it first, or save it as a baseline JPEG")


def _samples_per_pixel(image: JpegImageFile) -> float:
    """Return the number of a JPEG's coefficients per pixel: 1 for gray, 1.5 for colour at half resolution, 3 at full resolution."""
    factors = [(layer[1], layer[2]) for layer in image.layer]  # (horizontal, vertical) sampling factors
    widest = max(across * down for across, down in factors)
    return sum(across * down for across, down in factors) / widest


def bytes_per_pixel(image: Image.Image) -> int:
    """Return the memory that Pillow needs for a pixel."""
    return 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4


def reduced(image: Image.Image, factor: int, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return a decoded picture, converted and then averaged over squares of `factor`² pixels, in bands of rows."""
    small: Image.Image | None = None
    for band, top in bands(image, max(_BAND // factor, 1) * factor):
        part = convert(band).reduce(factor)
        if small is None:
            small = Image.new(part.mode, (part.width, -(-image.height // factor)))
        small.paste(part, (0, top // factor))
    assert small is not None  # a picture has at least one row
    return small


def bands(image: Image.Image, rows: int) -> Iterator[tuple[Image.Image, int]]:
    """Yield a picture in bands of `rows` rows, each with its first row."""
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height))), top


def _size(image: Image.Image) -> str:
    return f"{image.width}x{image.height}"
