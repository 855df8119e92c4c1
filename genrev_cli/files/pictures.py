"""PNG pictures and JSON results, each with a header."""

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import atomic_path, write_text
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header


def to_pil(pixels: np.ndarray) -> Image.Image:
    """Return pixels (C, H, W) uint8 with 1 or 3 channels as a Pillow image."""
    return Image.fromarray(pixels[0] if pixels.shape[0] == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def gap_of(scale: int) -> int:
    """Return the pixels between tiles that are magnified by `scale`."""
    return max(1, scale // 2)


def grid(tiles: np.ndarray, columns: int, *, least_side: int = 32, scale: int = 0) -> np.ndarray:
    """Arrange tiles (n, C, H, W) uint8 in rows of `columns` on white: (C, height, width).

    scale: how often each pixel is repeated; 0 repeats it until the tiles have `least_side` pixels.
    """
    scale = scale or max(1, -(-least_side // min(tiles.shape[2:])))
    tiles = tiles.repeat(scale, axis=2).repeat(scale, axis=3)
    gap = gap_of(scale)
    n, channels, height, width = tiles.shape
    rows = -(-n // columns)
    canvas = np.full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = tile
    return canvas


def grid_bytes(shape: tuple[int, int, int, int], least_side: int = 32) -> int:
    """Return the largest possible size in bytes of the PNG of a grid of tiles (n, C, H, W), header included.

    PNG does not compress noise; magnified noise takes up to twice its own size.
    """
    return int(math.prod(shape) * (1.05 if min(shape[2:]) >= least_side else 2.1)) + 8192


def pixels_digest(pixels: np.ndarray) -> str:
    """Return the content digest of pixels (C, H, W)."""
    return content_digest({"pixels": array_digest(str(pixels.dtype), pixels.shape, [np.ascontiguousarray(pixels)])})


def write_picture(path: Path, pixels: np.ndarray, header: Header) -> None:
    """Write (C, H, W) uint8 as a PNG with its header, atomically."""
    info = PngInfo()
    info.add_itxt(KEY, header.to_json())
    with atomic_path(path) as part:
        to_pil(pixels).save(part, format="PNG", pnginfo=info)


def read_picture(path: Path) -> tuple[Header, np.ndarray]:
    """Return header and pixels (C, H, W) uint8 of a picture.

    Raises FileError if it is missing, damaged, or not written by genrev.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG"]) as image:
                if not isinstance(image, PngImageFile) or image.mode not in ("L", "RGB"):
                    raise ValueError(f"its mode is {image.mode}")
                image.load()
                text, pixels = image.text.get(KEY), np.asarray(image)
    except Exception as error:  # a decoder can raise almost any exception for broken bytes
        raise FileError(f"{path}: not a readable PNG, or truncated ({error})") from error
    return parse_header(text, path), pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


_SCORE = {
    "metric": str, "value": int | float, "n": int | None, "n_reference": int | None, "bias_floor": int | float | None, "split": str,
    "extractor": str | None, "profile": str | None, "layer": str | None, "weights_sha256": str | None, "feature_precision": str,
}  # fmt: skip
"""Entries of a score → their types."""


def json_digest(result: dict[str, Any]) -> str:
    """Return the content digest of a JSON result."""
    return content_digest({"result": array_digest("json", (), [json.dumps(result, sort_keys=True).encode()])})


def write_json(path: Path, result: dict[str, Any], header: Header) -> None:
    """Write a result with its header under the key `genrev`, atomically."""
    write_text(path, json.dumps({**result, KEY: json.loads(header.to_json())}, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> tuple[Header, dict[str, Any]]:
    """Return header and result.

    Raises FileError if the file is missing, not JSON, or not written by genrev.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise FileError(f"{path}: not a result written by genrev")
    header = content.pop(KEY, None)
    return parse_header(None if header is None else json.dumps(header), path), content


def read_score(path: Path) -> tuple[Header, dict[str, Any]]:
    """Return header and result of `genrev fid`.

    Raises FileError like `read_json`, and if an entry has the wrong type or the content does not match the header.
    """
    header, result = read_json(path)
    typed = all(isinstance(result[name], kind) for name, kind in _SCORE.items() if name in result)
    if not typed or any(abs(result.get(name) or 0) > sys.float_info.max for name in ("value", "bias_floor")):
        raise FileError(f"{path}: damaged or edited: an entry has a wrong type or value; make it again with 'genrev fid'")
    if json_digest(result) != header.sha256:
        raise FileError(f"{path}: damaged or edited: its content does not match the checksum in its header; make it again")
    return header, result
