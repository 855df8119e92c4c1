"""The formats of picture files: their extensions, and recognition by content."""

import functools
import re

from PIL import Image

EXTENSIONS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif",
    ".pgm", ".ppm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".heic", ".heif",
)  # fmt: skip
LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif")
"""Extensions of JPEGs."""
EIGHT_BITS = (*LOSSY, ".bmp", ".webp", ".gif", ".avif", ".heic", ".heif")
"""Extensions of formats that Pillow reads with 8 bits per value, whatever the file has."""

_HEAD = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|BM.{4}\0\0\0\0|RIFF....WEBP|II\*\0|MM\0\*|GIF8[79]a|P[1-6]\s"
    rb"|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51|....ftyp(?:avif|avis|heic|heix|hevc|hevx|mif1|msf1|heim|heis)",
    re.S,
)
_HEIF = re.compile(rb"....ftyp(?:heic|heix|hevc|hevx|heim|heis|mif1|msf1)", re.S)

# Pillow tries only these decoders. Otherwise a file's content could select any decoder, and the one for EPS starts Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")


def is_picture(head: bytes) -> bool:
    """Return True if a file that begins with `head` is a picture of one of the formats."""
    return bool(_HEAD.match(head))


def is_heif(data: bytes) -> bool:
    """Return True if a file is HEIF, as phones write it (.heic)."""
    return bool(_HEIF.match(data)) and b"avif" not in data[8:64]


def pillow_formats(data: bytes) -> tuple[str, ...]:
    """Return the names of the decoders that may open a file.

    Raises ModuleNotFoundError, with the cure, for a HEIF file where pillow-heif is not installed.
    """
    if is_heif(data):
        try:
            from pillow_heif import register_heif_opener
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("HEIC needs the package pillow-heif: pip install 'genrev-cli[heic]'") from error
        register_heif_opener(thumbnails=False)
        return ("HEIF",)
    return _installed()


@functools.cache
def _installed() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)  # AVIF came with Pillow 11.3
