"""Pictures below each other in one image, as text for a page."""

import base64
import io

import numpy as np
from PIL import Image, features

from genrev_cli.files.pictures import to_pil
from genrev_cli.shapes import Pixels

MUCH_SMALLER = 0.6
"""Lossy WebP is used if its size is at most this share of PNG's."""
QUALITY, MOST_ERROR = 90, 8 / 255
"""Of WebP, and the largest mean error of a picture for which it is used, with pixels from 0 to 1; both are ours."""
_LONGEST = 16383


def sprite(pictures: Pixels, *, exact: bool) -> str:
    """Return pictures (n, C, H, W) uint8, from top to bottom in one image, as a data URI.

    It is PNG; without `exact`, colour is lossy WebP if that is much smaller.
    """
    n, channels, height, width = pictures.shape
    image = to_pil(pictures.permute(1, 0, 2, 3).reshape(channels, n * height, width).numpy())
    png = _saved(image, "PNG", optimize=True)
    if not exact and channels == 3 and n * height <= _LONGEST and features.check("webp"):
        webp = _saved(image, "WEBP", quality=QUALITY, method=4)
        if len(webp) <= MUCH_SMALLER * len(png) and _error(webp, image) <= MOST_ERROR:
            return _uri(webp, "webp")
    return _uri(png, "png")


def _saved(image: Image.Image, kind: str, **how: int | bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def _error(encoded: bytes, image: Image.Image) -> float:
    decoded = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"), np.int16)
    return float(np.abs(decoded - np.asarray(image)).mean() / 255)


def _uri(encoded: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"
