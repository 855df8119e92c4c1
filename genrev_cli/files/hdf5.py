"""HDF5 files with a genrev header: prepared images, samples, latent codes.

Data sets are chunked with Fletcher-32 checksums, so a flipped byte is an error when it is read and not a wrong pixel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header

_CHUNK_BYTES = 1 << 16  # small, so that a random row costs one small read
_BLOCK_BYTES = 1 << 24  # what is held while hashing or copying


def _rows(shape: tuple[int, ...], itemsize: int, budget: int) -> int:
    return max(1, budget // max(1, int(np.prod(shape[1:], dtype=np.int64)) * itemsize))


class Writer:
    """Writes named arrays row block by row block, so that memory stays bounded however large the file.

    header: written at the end; may be replaced until then, by what is known only after the arrays.
    """

    def __init__(self, file: h5py.File, header: Header) -> None:
        self._file = file
        self.header = header

    def create(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
        """Make room for an array of `shape`; the first axis is the one that `write` fills."""
        rows = min(max(shape[0], 1), _rows(shape, np.dtype(dtype).itemsize, _CHUNK_BYTES))
        self._file.create_dataset(name, shape, dtype, chunks=(rows, *shape[1:]), fletcher32=True, maxshape=(None, *shape[1:]))

    def write(self, name: str, start: int, block: np.ndarray) -> None:
        """Rows start … start + len(block)."""
        self._file[name][start : start + len(block)] = block

    def truncate(self, name: str, rows: int) -> None:
        """Give back the room behind the first `rows` rows."""
        self._file[name].resize(rows, axis=0)


def _digest(file: h5py.File) -> str:
    def blocks(array: h5py.Dataset) -> Iterator[np.ndarray]:
        step = _rows(array.shape, array.dtype.itemsize, _BLOCK_BYTES)
        for start in range(0, array.shape[0], step):
            yield np.ascontiguousarray(array[start : start + step]).reshape(-1).view("uint8")

    return content_digest({name: array_digest(str(array.dtype), array.shape, blocks(array)) for name, array in file.items()})


@contextmanager
def writing(path: Path, header: Header) -> Iterator[Writer]:
    """Write arrays to `path`, atomically; the content digest is filled into `header` at the end."""
    with atomic_path(path) as part, h5py.File(part, "w", libver="latest") as file:  # 'latest' lets an attribute exceed 64 KB
        writer = Writer(file, header)
        yield writer
        file.attrs[KEY] = replace(writer.header, sha256=_digest(file)).to_json()


@contextmanager
def reading(path: Path) -> Iterator[tuple[Header, h5py.File]]:
    """Header and open file.

    Raises FileError when the file is missing, truncated, damaged, or not of genrev's.
    """
    if not path.exists():
        raise FileError(f"{path}: no such file")
    if path.is_dir():
        raise FileError(f"{path}: a folder where a .h5 file is needed")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FileError(f"{path}: not a readable HDF5 file, or truncated") from error
    with file:
        try:
            header = parse_header(file.attrs.get(KEY), path)
            for name in file:
                file[name]  # opens every array: later a KeyError would not tell damage from a mistake of ours
        except (OSError, KeyError) as error:  # KeyError is h5py's word for damaged metadata
            raise FileError(f"{path}: damaged: a part of it cannot be read back; make it again ({error})") from error
        try:
            yield header, file
        except OSError as error:  # Fletcher-32 mismatch, or cut short inside a data set
            raise FileError(f"{path}: damaged: a part of it cannot be read back; make it again ({error})") from error


def read_header(path: Path) -> Header:
    """The header alone. Raises FileError like `reading`."""
    with reading(path) as (header, _):
        return header


def read_digest(path: Path) -> str:
    """The content digest recomputed from every byte of the arrays. Raises FileError like `reading`."""
    with reading(path) as (_, file):
        return _digest(file)
