"""Arrays of images from any program: which array holds what, how its axes are ordered, and which values are black and white."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genrev_cli.data.depth import BYTES, FULL, Range, UnknownRange, to_bytes
from genrev_cli.data.split_words import split_of
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.rows import Rows

IMAGES = ("images", "samples", "arr_0", "x", "image", "imgs", "img", "data", "pixels", "pictures")
"""Usual names of an array of images: genrev's, those of other tools, and numpy's default, which ADM uses."""
LABELS = ("labels", "label", "y", "target", "targets", "arr_1", "ans", "class", "classes")

_BLOCK_BYTES = 1 << 24
_DARK = 1 / 16  # part of the range; data that stay below are in doubt


@dataclass(frozen=True)
class Part:
    """Names of the arrays of one split: images and, if there are any, labels. split: as in `Source`, −1 if the names say none."""

    images: str
    labels: str | None
    split: int


def find_parts(shapes: Mapping[str, tuple[int, ...]], chosen: str, where: str) -> list[Part]:
    """Return the image arrays among named arrays, train before val before test.

    chosen: the only name, or the group of names, to take; '' takes all. Raises FileError if no name fits, UsageError if several do.
    """
    read = {name: _read_name(name) for name in shapes}
    wanted = {name for name in shapes if not chosen or name == chosen or read[name][1] == chosen}
    images = [name for name in wanted if name == chosen or (read[name][0] == "images" and len(shapes[name]) > 1)]
    if not images and not chosen:
        images = [name for name, shape in shapes.items() if read[name][0] != "labels" and len(shape) >= 3]
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
    if not images:
        raise FileError(f"{where}: has no array of images by a usual name (it has {listed}); name it with --subset")
    kinds = {read[name][1:] for name in images}
    splits = {split for _, split in kinds}
    if len(kinds) < len(images) or len({group for group, _ in kinds}) > 1 or (-1 in splits and len(splits) > 1):
        raise UsageError(f"{where}: several arrays may be the images ({', '.join(sorted(images))}); choose with --subset NAME")
    labels = {read[name][1:]: name for name in shapes if read[name][0] == "labels"}
    parts = [Part(name, labels.get(read[name][1:], labels.get(("", read[name][2]))), read[name][2]) for name in images]
    return sorted(parts, key=lambda part: part.split)


def _read_name(name: str) -> tuple[str, str, int]:
    """Return what a name says: 'images', 'labels' or '', the rest of it, and the split: 'x_train' → ('images', '', TRAIN)."""
    kind, split, rest = "", -1, []
    for word in re.split(r"[/_.\-\s]+", re.sub(r"(arr)_(\d)", r"\1\2", name)):
        word = re.sub(r"^arr(\d)$", r"arr_\1", word)
        glued = re.fullmatch(r"(x|y)(\w+)", word, re.I) or re.fullmatch(r"(\w+)([XY])", word)
        for piece in glued.groups() if glued and any(split_of(part) >= 0 for part in glued.groups()) else (word,):
            if split_of(piece) >= 0 and split < 0:
                split = split_of(piece)
            elif piece.lower() in IMAGES and kind in ("", "images"):
                kind = "images"
            elif piece.lower() in LABELS:
                kind = "labels"
            else:
                rest.append(piece)
    return kind, "_".join(rest), split


def image_layout(shape: Sequence[int]) -> tuple[tuple[int, int, int], tuple[int, ...] | None] | None:
    """Return (C, H, W) of images of `shape`, without the first axis, and the axes that bring them there; None if the shape is none.

    (H, W), (H, W, C), (C, H, W) with 1 or 3 channels, and (H·W,) of square gray images. If both ends could be channels, the first is.
    """
    if any(side < 1 for side in shape):
        return None
    if len(shape) == 1 and shape[0] == math.isqrt(shape[0]) ** 2 > 1:
        return (1, math.isqrt(shape[0]), math.isqrt(shape[0])), None
    if len(shape) == 2:
        return (1, shape[0], shape[1]), None
    if len(shape) == 3 and shape[0] in (1, 3):
        return (shape[0], shape[1], shape[2]), (0, 1, 2, 3)
    if len(shape) == 3 and shape[2] in (1, 3):
        return (shape[2], shape[0], shape[1]), (0, 3, 1, 2)
    return None


def range_of(rows: Sequence[Rows], given: Range | None, where: str, note: Callable[[str], None]) -> Range | None:
    """Return the values of arrays that become 0 and 255; None for bytes that stay as they are. The rule is noted.

    Raises UsageError, with the option that settles it, if the values leave that in doubt; FileError for NaN or infinite values.
    """
    kinds = {part.dtype.kind for part in rows}
    if given:
        return None if given == BYTES and {part.dtype.name for part in rows} == {"uint8"} else given
    if kinds == {"b"}:
        return 0, 1
    low, high = _extremes(rows, where, enough=1 if {part.dtype.name for part in rows} == {"uint8"} else math.inf)
    found = _range(low, high, whole=kinds <= set("iu"))
    if found is None:
        raise UsageError(
            f"{where}: its values run from {low:g} to {high:g}, so it is not clear which are black and white; "
            f"pass them, for example {_suggested(low, high)}"
        )
    if {part.dtype.name for part in rows} == {"uint8"}:
        return None
    note(f"{where}: values from {low:g} to {high:g} are scaled as {found[0]:g} (black) to {found[1]:g} (white); --values sets others")
    return found


def _range(low: float, high: float, whole: bool) -> Range | None:
    """Return the range of values that lie between two extremes, None if it is in doubt."""
    if low == high == 0:
        return BYTES
    if whole:
        if low >= 0 and 1 < high <= BYTES[1]:
            return BYTES
        return FULL if low >= 0 and FULL[1] / 4 <= high <= FULL[1] else None
    if low >= 0 and _DARK < high <= 1.001:
        return 0, 1
    if -1.001 <= low < -0.5 and high <= 1.001:
        return -1, 1
    return BYTES if low >= 0 and BYTES[1] * _DARK < high <= BYTES[1] + 0.5 else None


def _suggested(low: float, high: float) -> str:
    if low < 0:
        most = max(-low, high)
        bound = 0.5 if most <= 0.5 else 128 if 16 < most <= 128 else math.ceil(most)
        return f"--values={-bound:g},{bound:g}"
    bound = next((bound for bound in (1, 255, 1023, 4095, 16383) if high <= bound), 65535 if high <= FULL[1] else math.ceil(high))
    other = 255 if bound < BYTES[1] else 1 if high <= 1 else 65535
    return f"--values 0,{bound}" + (f" or --values 0,{other}" if other > bound else "")


def _extremes(rows: Sequence[Rows], where: str, enough: float) -> tuple[float, float]:
    """Return the least and the largest value; the search ends at a value above `enough`."""
    low, high = math.inf, -math.inf
    for part in rows:
        step = block_rows(part)
        for start in range(0, part.shape[0], step):
            block = part[start : start + step]
            if not np.isfinite(block).all():
                raise FileError(f"{where}: has NaN or infinite values in images {start} to {start + len(block) - 1}; repair them")
            low, high = min(low, float(block.min())), max(high, float(block.max()))
            if high > enough:
                return low, high
    return low, high


def block_rows(rows: Rows) -> int:
    """Return the number of rows to read at once."""
    return max(1, _BLOCK_BYTES // max(1, math.prod(rows.shape[1:]) * rows.dtype.itemsize))


class PixelRows:
    """Images (n, C, H, W) uint8, converted from rows of another layout or type when they are read.

    turned: rows and columns are exchanged. Raises FileError for a value outside of `values`.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, rows: Rows, values: Range | None, where: str, *, turned: bool = False) -> None:
        layout = image_layout(rows.shape[1:]) if len(rows.shape) > 1 else None
        if layout is None or not rows.shape[0]:
            raise FileError(
                f"{where}: images have shape {rows.shape}, but must be (n, H, W), (n, H, W, C) or (n, C, H, W) with 1 or 3 channels"
            )
        (channels, height, width), self._axes = layout
        self.shape: tuple[int, ...] = (rows.shape[0], channels, *((width, height) if turned else (height, width)))
        self._rows, self._values, self._where, self._turned = rows, values, where, turned

    def __getitem__(self, rows: slice) -> np.ndarray:
        block = self._rows[rows]
        try:
            pixels = to_bytes(block, self._values) if self._values else block.astype(np.uint8, copy=False)
        except UnknownRange as error:
            raise FileError(f"{self._where}: {error}") from error
        pixels = pixels.transpose(self._axes) if self._axes else pixels.reshape(len(pixels), *self._upright())
        return np.ascontiguousarray(pixels.transpose(0, 1, 3, 2) if self._turned else pixels)

    def _upright(self) -> tuple[int, ...]:
        channels, height, width = self.shape[1:]
        return (channels, width, height) if self._turned else (channels, height, width)


def class_labels(parts: Sequence[np.ndarray | None], counts: Sequence[int]) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Return labels (n,) int64 numbered by class, −1 without one, and the classes' names in order; None if an array holds no classes.

    Integers (k,) or (k, 1), −1 for unknown; one-hot rows (k, c); texts. A part without labels has unknown ones.
    """
    columns = [_column(part) if part is not None else np.full(n, -1) for part, n in zip(parts, counts, strict=True)]
    known = [column for column in columns if column is not None]
    if len(known) < len(columns) or any(len(column) != n for column, n in zip(known, counts, strict=True)):
        return None
    texts = any(column.dtype.kind == "U" for column in known)
    joined = np.concatenate([_texts(column) if texts else column for column in known])
    names = np.unique(joined)
    names = names[names != ""] if texts else names[names >= 0]
    place = np.searchsorted(names, joined).clip(0, max(len(names) - 1, 0))
    labels = np.where(names[place] == joined, place, -1) if len(names) else np.full(len(joined), -1)
    return labels.astype(np.int64), tuple(map(str, names.tolist()))


def _texts(column: np.ndarray) -> np.ndarray:
    return column if column.dtype.kind == "U" else np.where(column < 0, "", column.astype(str))


def _column(labels: np.ndarray) -> np.ndarray | None:
    """Return labels as a column of integers or texts; None if they are neither."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all():
        return labels.argmax(1)
    if labels.ndim != 1:
        return None
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    return labels if labels.dtype.kind in "iuU" else None
