"""A prepared image set: one HDF5 file with `images` (N, C, H, W) uint8, `labels` (N,) int64 (−1: unknown) and `split` (N,) uint8.

It may also have `attributes` (N, A) int8: 1 if an image has an attribute, 0 if not, −1 if that is unknown.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header, require_kind

SPLITS = ("train", "val", "test")
"""A row's `split` is an index into this."""


@dataclass(frozen=True)
class ImageSet:
    """A prepared file, without its pixels.

    header.config: source (name and checksums), transform, image_shape [C, H, W], counts per split,
    classes (names; [] without labels), attributes (names; none without them), mean and std per channel in [0, 1] over the train split.
    """

    path: Path
    header: Header
    image_shape: tuple[int, int, int]
    labels: np.ndarray
    _: KW_ONLY
    split: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels, () without labels."""
        return tuple(map(str, self.header.config.get("classes") or ()))

    @property
    def images(self) -> "LazyImages":
        """The pixels, (N, C, H, W) uint8, which are read from the file when rows of them are asked for."""
        return LazyImages(self)

    @property
    def attribute_names(self) -> list[str]:
        """The names of the attributes; [] without any."""
        names = self.header.config.get("attributes", [])
        return [str(name) for name in names] if isinstance(names, list) else []

    @cached_property
    def attributes(self) -> np.ndarray:
        """The attributes of all images, (N, A) int8: 1 has, 0 has not, −1 unknown. They are read when they are first asked for.

        Raises FileError if they do not belong to the names in the header.
        """
        names = self.attribute_names
        with hdf5.reading(self.path) as (_, file):
            values = file["attributes"][:] if "attributes" in file else np.empty((len(self.split), 0), np.int8)
        if values.shape[1] != len(names) or (values.size and not -1 <= values.min() <= values.max() <= 1):
            raise FileError(f"{self.path}: damaged: its attributes do not match their {len(names)} names; run 'genrev prepare-data' again")
        return values

    def rows(self, split: str, option: str = "--split") -> np.ndarray:
        """Return the row numbers of a split, or of 'all'; (n,) int64.

        option: the one that named the split. Raises UsageError if the set has no such split.
        """
        if split == "all":
            return np.arange(len(self.split))
        if split not in SPLITS:
            raise UsageError(f"{option} {split}: choose one of {', '.join(SPLITS)} or all")
        rows = np.flatnonzero(self.split == SPLITS.index(split))
        if not len(rows):
            present = [f"{option} {name}" for i, name in enumerate(SPLITS) if (self.split == i).any()]
            raise UsageError(f"{self.path}: has no images in split '{split}'; choose {' or '.join(present)}")
        return rows

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the images of `rows`, in that order; (n, C, H, W) uint8. Only those rows are read."""
        with hdf5.reading(self.path) as (_, file):
            return read_rows(file["images"], np.asarray(rows))


@dataclass(frozen=True)
class LazyImages:
    """The images of a prepared file as an array that is not in memory: images[3], images[10:20], images[rows], images[labels == 2]."""

    source: ImageSet

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return len(self.source.split), *self.source.image_shape

    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any) -> np.ndarray:
        """Read rows that NumPy's rules choose: one image (C, H, W) for a number, else (n, C, H, W)."""
        rows = np.arange(len(self))[chosen]
        return self.source.read(rows[None])[0] if rows.ndim == 0 else self.source.read(rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all images."""
        return self[:].astype(dtype or self.dtype, copy=False)


def read_rows(array: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Return any rows of an HDF5 array, in the given order; consecutive rows are read at once."""
    out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    order = np.argsort(rows, kind="stable")
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and rows[order[end]] == rows[order[end - 1]] + 1:
            end += 1
        out[order[start:end]] = array[rows[order[start]] : rows[order[end - 1]] + 1]
        start = end
    return out


def open_images(path: Path) -> ImageSet:
    """Open a prepared image set.

    Raises FileError if it is missing, damaged, or not a prepared image set.
    """
    if path.is_dir() or path.suffix.lower() == ".zip":
        what = "a folder" if path.is_dir() else "a zip"
        raise FileError(
            f"{path}: is {what}, but a .h5 file is needed; make one with 'genrev prepare-data folder --path {path} --out data/images.h5'"
        )
    with hdf5.reading(path) as (header, file):
        require_kind(header, "data", path, "genrev prepare-data")
        if not {"images", "labels", "split"} <= file.keys():
            raise FileError(f"{path}: damaged: images, labels or split are missing; run 'genrev prepare-data' again")
        return ImageSet(path, header, file["images"].shape[1:], hdf5.labels_of(file, path), split=file["split"][:])
