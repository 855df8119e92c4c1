"""NumPy files (.npz, .npy), from genrev or from any other program."""

import math
import tokenize
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, final

import numpy as np
from numpy.lib import format as npy

from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP, require_plausible
from genrev_cli.files.header import array_digest, content_digest
from genrev_cli.files.rows import Rows, StreamedRows

_NPY = b"\x93NUMPY"
_SUFFIX = ".npy"
_BROKEN = (*BROKEN_ZIP, SyntaxError, tokenize.TokenError)  # the last two: an array's header, which is parsed as a Python literal


def arrays_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the content digest of named arrays."""
    return content_digest(
        {name: array_digest(str(array.dtype), array.shape, [np.ascontiguousarray(array)]) for name, array in arrays.items()}
    )


@contextmanager
def reading_npz(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Yield the arrays of an .npz file by name, read on access; the array of an .npy file is 'arr_0', mapped from the disk.

    Nothing is unpickled, and memory is allocated only for bytes that the file really has.

    Raises FileError if the file is missing, damaged, or neither .npz nor .npy.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        with path.open("rb") as raw:
            if raw.read(len(_NPY)) == _NPY:
                yield {"arr_0": npy.open_memmap(path, mode="r")}
            else:
                with zipfile.ZipFile(path) as archive:
                    yield _Arrays(archive)
    except _BROKEN as error:
        raise FileError(f"{path}: not a readable NumPy file, or truncated or damaged ({error}); make it again") from error
    except MemoryError as error:
        raise FileError(f"{path}: its arrays do not fit into memory ({error}); give fewer images") from error


def rows_of(arrays: Mapping[str, np.ndarray], name: str, where: str) -> Rows:
    """Return an array of `reading_npz` to be read in blocks of rows, also after the file is closed. Raises what reading it raises."""
    return arrays.rows(name, where) if isinstance(arrays, _Arrays) else arrays[name]


@final
class _Arrays(Mapping[str, np.ndarray]):
    """The arrays of an open .npz file; entries of other types are ignored."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._entries = {entry.filename.removesuffix(_SUFFIX): entry for entry in archive.infolist() if entry.filename.endswith(_SUFFIX)}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        require_plausible(entry)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns about headers written by Python 2
            with self._archive.open(entry) as file:
                stated = _stated_bytes(file)
            if stated != entry.file_size:
                raise ValueError(f"'{name}' claims {stated} bytes, but has {entry.file_size}")
            with self._archive.open(entry) as file:
                return npy.read_array(file, allow_pickle=False)

    def rows(self, name: str, where: str) -> Rows:
        """Return an array whose rows are read in blocks. One in columns (Fortran's order) is read as a whole."""
        entry, path = self._entries[name], Path(self._archive.filename or where)
        require_plausible(entry)
        with self._archive.open(entry) as file:
            shape, by_columns, dtype = _header(file)
            start = file.tell()
        if start + math.prod(shape) * dtype.itemsize != entry.file_size or dtype.hasobject:
            raise ValueError(f"'{name}' is not the array that it claims to be, or has objects")
        if by_columns or not shape:
            return self[name]

        def opened() -> IO[bytes]:
            with zipfile.ZipFile(path) as archive:  # the entry stays open
                stream = archive.open(entry)
            stream.seek(start)
            return stream

        return StreamedRows(shape, dtype, opened, f"{where}: {name}")


def _stated_bytes(file: IO[bytes]) -> int:
    """Return the size of an array in a file, header included, as its header states it."""
    shape, _, dtype = _header(file)
    return file.tell() + math.prod(shape) * dtype.itemsize


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, order and type of an array in a file, which is left at the array's first byte."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):  # version 3 only adds UTF-8 field names, which arrays of numbers do not have
        raise ValueError(f"version {version} of the format is not supported")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns about headers written by Python 2
        return read(file)
