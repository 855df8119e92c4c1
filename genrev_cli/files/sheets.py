"""Tiles in rows and columns as one picture, magnified by an integer, with the names of rows and columns beside them."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.pictures import gap_of, grid, read_picture

LEAST_SIDE = 64
"""Shortest side of a tile in pixels, where the user chooses no scale."""
LEAST_NAMED = 16
"""Shortest side of a tile in pixels beside which a name can be read."""
PAD = 6
"""Pixels between a name and its tiles."""
INK, PAPER = 40, 255
SMALLEST, LARGEST = 10, 16
"""Sizes of the font in pixels."""


def sheet(
    tiles: np.ndarray, columns: int, *, scale: int = 0, rows: Sequence[str] = (), heads: Sequence[str] = (), corner: str = ""
) -> tuple[np.ndarray, dict[str, Any]]:
    """Arrange tiles (n, C, H, W) uint8 in rows of `columns`; return the picture (C, height, width) uint8 and its layout for the header.

    scale: how often each pixel is repeated; 0 repeats it until the tiles have LEAST_SIDE pixels. rows, heads: names of the rows, at their
    left, in one or two lines, and of the columns, above them; () for none. corner: what the names of the columns are.
    Raises UsageError for names beside tiles that are too small for text.
    """
    height, width = tiles.shape[2:]
    scale = scale or -(-LEAST_SIDE // min(height, width))
    picture = grid(tiles, columns, scale=scale)
    layout = {"scale": scale, "gap": gap_of(scale), "left": 0, "top": 0, "columns": columns, "tile": [height, width]}
    if not rows and not heads:
        return picture, layout
    if min(height, width) * scale < LEAST_NAMED:
        size = f"{width * scale}×{height * scale}"
        raise UsageError(f"--scale {scale}: tiles of {size} pixels are too small for labels; pass a larger --scale, or --no-labels")
    names = _Names(rows, heads, corner, height=height * scale, width=width * scale, gap=gap_of(scale))
    return names.beside(picture), {**layout, "left": names.left, "top": names.top}


class _Names:
    """Names to draw beside a grid. left, top: widths of the margins that they need, in pixels."""

    def __init__(self, rows: Sequence[str], heads: Sequence[str], corner: str, *, height: int, width: int, gap: int) -> None:
        self.height, self.width, self.gap = height, width, gap
        self.font = ImageFont.load_default(size=min(max(width // 5, SMALLEST), LARGEST))
        self.line = sum(self.font.getmetrics()) if isinstance(self.font, ImageFont.FreeTypeFont) else SMALLEST
        self.rows = [_plain(name if height >= 2 * self.line else name.replace("\n", ", ")) for name in rows]
        self.heads = self._fitted([_plain(name) for name in heads], bool(rows))
        self.corner = _plain(corner) if rows and heads else ""
        self.left = PAD + round(max(map(self._measure, [*self.rows, self.corner]))) + PAD if rows else 0
        self.top = PAD // 2 + self.line if heads else 0

    def beside(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture (C, height, width) with the names at its left and above it."""
        channels, height, width = picture.shape
        canvas = Image.new("L", (self.left + width, self.top + height), PAPER)
        draw = ImageDraw.Draw(canvas)
        for i, name in enumerate(self.rows):
            middle = self.top + self.gap + i * (self.height + self.gap) + self.height / 2
            draw.multiline_text((self.left - PAD, middle), name, INK, self.font, anchor="rm", align="right", spacing=0)
        draw.text((self.left - PAD, self.top), self.corner, INK, self.font, anchor="rd")
        for i, name in enumerate(self.heads):
            middle = self.left + self.gap + i * (self.width + self.gap) + self.width / 2
            draw.text((middle, self.top), name, INK, self.font, anchor="md")
        named = np.repeat(np.asarray(canvas)[None], channels, axis=0)
        named[:, self.top :, self.left :] = picture
        return named

    def _measure(self, name: str) -> float:
        return max(self.font.getlength(line) for line in name.split("\n"))

    def _fitted(self, names: list[str], margin: bool) -> list[str]:
        """Fit the names of columns. If a number is too wide, every second, third … name is left out; other names are shortened.

        margin: there is room at the left of the first column.
        """
        wide = [self._measure(name) > self.width for name in names]
        if not any(too_wide and any(map(str.isdigit, name)) for too_wide, name in zip(wide, names, strict=True)):
            return list(map(self._shortened, names))
        every = -(-round(max(map(self._measure, names)) + PAD) // (self.width + self.gap))
        edges = {len(names) - 1, *([] if margin else [0])}
        return ["" if i % every or (wide[i] and i in edges) else name for i, name in enumerate(names)]

    def _shortened(self, name: str) -> str:
        if self._measure(name) <= self.width:
            return name
        while name and self._measure(f"{name}…") > self.width:
            name = name[:-1]
        return f"{name}…"


def _plain(name: str) -> str:
    """Return a name in the letters of Pillow's own font: accents are removed, other letters become question marks."""
    letters = (letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return "".join(letters).encode("ascii", "replace").decode()


def tiles_of(picture: np.ndarray, layout: Mapping[str, Any]) -> np.ndarray:
    """Return the tiles (n, C, H, W) of a picture by `sheet`, without names and magnification; white where the last row is not full.

    Raises ValueError for a layout that does not fit the picture.
    """
    scale, gap, left, top, columns = (_whole(layout, name) for name in ("scale", "gap", "left", "top", "columns"))
    height, width = (_whole({"side": side}, "side") for side in layout.get("tile", ()))
    if not (scale and columns and height and width):
        raise ValueError(f"layout {dict(layout)} has a zero")
    high, wide = height * scale + gap, width * scale + gap
    inner = picture[:, top + gap :, left + gap :]
    rows = inner.shape[1] // high
    if not rows or inner.shape[1] != rows * high or inner.shape[2] != columns * wide:
        raise ValueError(f"layout {dict(layout)} does not fit {picture.shape}")
    cells = inner.reshape(len(picture), rows, high, columns, wide)[:, :, : high - gap : scale, :, : wide - gap : scale]
    return cells.transpose(1, 3, 0, 2, 4).reshape(rows * columns, len(picture), height, width)


def read_tiles(path: Path, layout: Any) -> np.ndarray:
    """Read the tiles (n, C, H, W) uint8 of a picture file, whose header has this layout. Raises FileError for a damaged one."""
    pixels = read_picture(path)[1]
    try:
        return tiles_of(pixels, layout)
    except (AttributeError, TypeError, ValueError) as error:
        raise FileError(f"{path}: damaged: its header has no valid 'layout' ({error}); make it again") from error


def _whole(layout: Mapping[str, Any], name: str) -> int:
    value = layout.get(name)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"'{name}' is {value!r}")
    return value
