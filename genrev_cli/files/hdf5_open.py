"""Open HDF5 files for reading: ours and those of other programs, also on file systems without locks."""

import errno
import math
import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from genrev_cli.errors import FileError, lacks_memory
from genrev_cli.files.rows import Rows

BROKEN = (OSError, KeyError, ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError)
"""Exceptions that h5py raises for damaged metadata."""

_HELD = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)
_WRITING = re.compile("unable to lock file|already open for write|marked as open for write|file is already open")
_MAX_CHUNK = 1 << 29
_RATIO = 1032  # deflate's largest compression ratio


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading. Where the file system has no locks, it is opened without one, as nothing could be excluded there.

    Raises FileError if another program has it open for writing, and what h5py raises for a damaged file.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if not _WRITING.search(str(error)):
            raise
        number = re.search(r"errno = (\d+)", str(error))
        if number and int(number[1]) not in _HELD:
            return h5py.File(path, "r", locking=False)
        raise FileError(
            f"{path}: another program has it open for writing; close it there, for example with file.close() in a notebook"
        ) from error


def foreign_arrays(path: Path) -> dict[str, Rows]:
    """Return all arrays of numbers in the HDF5 file of another program, by their paths in it; the file stays open.

    Links to other files and arrays stored in them are not followed. Raises FileError if the file is damaged or an array implausible.
    """
    try:
        file = open_hdf5(path)
        return {name: _Dataset(array, path, name) for name, array in _arrays(file, "")}
    except BROKEN as error:
        raise FileError(f"{path}: not a readable HDF5 file, or truncated ({error})") from error


def _arrays(group: h5py.Group, prefix: str, depth: int = 0) -> Iterator[tuple[str, h5py.Dataset]]:
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        found = group[name]
        if isinstance(found, h5py.Group) and depth < 4:  # a group may contain itself
            yield from _arrays(found, f"{prefix}{name}/", depth + 1)
        elif isinstance(found, h5py.Dataset) and found.shape and found.dtype.kind in "biufSU" and not (found.is_virtual or found.external):
            stated = math.prod(found.shape) * found.dtype.itemsize
            if stated > _RATIO * max(found.id.get_storage_size(), 1) or math.prod(found.chunks or ()) * found.dtype.itemsize > _MAX_CHUNK:
                raise ValueError(f"{prefix}{name} claims {stated} bytes, but has {found.id.get_storage_size()}")
            yield prefix + name, found


class _Dataset:
    """An array of an open HDF5 file, read in blocks of rows."""

    def __init__(self, array: h5py.Dataset, path: Path, name: str) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array, self._where = array, f"{path}: {name}"

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return consecutive rows. Raises FileError if they cannot be read."""
        try:
            return self._array[rows]
        except OSError as error:
            if lacks_memory(error):
                raise
            raise FileError(f"{self._where}: damaged: a part of it cannot be read ({error})") from error
