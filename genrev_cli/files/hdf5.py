"""HDF5 files with a genrev header: prepared images, samples, latent codes.

Arrays are chunked with Fletcher-32 checksums, so reading a flipped byte is an error and not a wrong pixel.
"""

import functools
import io
import math
import mmap
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from genrev_cli.errors import FileError, lacks_memory
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.hdf5_open import BROKEN, open_hdf5
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK_BYTES = 1 << 16  # small, so that reading a random row is cheap
_BLOCK_BYTES = 1 << 24  # held in memory while hashing

MOST_CLASSES = 1 << 16

_HEAP = b"GCOL\x01\0\0\0"
_ARRAYS = {
    "images": ("uint8", 4), "labels": ("int64", 1), "split": ("uint8", 1), "attributes": ("int8", 2),
    "codes": ("float32", 2), "rows": ("int64", 1), "names": ("uint8", 2),
}  # fmt: skip
"""Arrays that genrev writes: name → (type, number of axes). All arrays of a file have the same number of rows."""


def _rows(shape: tuple[int, ...], itemsize: int, budget: int) -> int:
    return max(1, budget // max(1, int(np.prod(shape[1:], dtype=np.int64)) * itemsize))


class Writer:
    """Writes named arrays in blocks of rows, so that memory stays bounded for a file of any size.

    header: written at the end; until then the caller may replace it.
    """

    def __init__(self, file: h5py.File, raw: "_DeferredErrorFile", header: Header) -> None:
        self._file, self._raw = file, raw
        self.header = header

    def create(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
        """Create an array of `shape`; `write` fills it along the first axis."""
        rows = min(max(shape[0], 1), _rows(shape, np.dtype(dtype).itemsize, _CHUNK_BYTES))
        with _uninterrupted():
            self._file.create_dataset(name, shape, dtype, chunks=(rows, *shape[1:]), fletcher32=True, maxshape=(None, *shape[1:]))

    def write(self, name: str, start: int, block: np.ndarray) -> None:
        """Write a block to rows start … start + len(block) − 1. Raises OSError if this or an earlier write failed."""
        with _uninterrupted():
            self._file[name][start : start + len(block)] = block
        self._raw.require_written()

    def truncate(self, name: str, rows: int) -> None:
        """Keep the first `rows` rows only."""
        self._file[name].resize(rows, axis=0)


def rows_at_once(array: h5py.Dataset) -> int:
    """Return how many rows of an array are held in memory at once."""
    return _rows(array.shape, array.dtype.itemsize, _BLOCK_BYTES)


def _digest(file: h5py.File) -> str:
    def blocks(array: h5py.Dataset) -> Iterator[np.ndarray]:
        step = rows_at_once(array)
        for start in range(0, array.shape[0], step):
            yield np.ascontiguousarray(array[start : start + step]).reshape(-1).view("uint8")

    return content_digest({name: array_digest(str(array.dtype), array.shape, blocks(array)) for name, array in file.items()})


@contextmanager
def writing(path: Path, header: Header) -> Iterator[Writer]:
    """Write arrays to `path`, atomically; the content digest is put into the header at the end."""
    with atomic_path(path) as part, _DeferredErrorFile(part) as raw:
        with _created(raw) as file:
            writer = Writer(file, raw, header)
            yield writer
            with _uninterrupted():
                file.flush()
                raw.require_written()
                text = replace(writer.header, sha256=_digest(file)).to_json().encode()
                # HDF5 has a checksum over a string of fixed length, but not over one of variable length.
                file.attrs.create(KEY, text, dtype=h5py.string_dtype("utf-8", len(text)))
        raw.require_written()


@contextmanager
def _created(raw: "_DeferredErrorFile") -> Iterator[h5py.File]:
    with _uninterrupted():
        file = h5py.File(raw, "w", libver="latest")  # 'latest' lets an attribute exceed 64 KB
    try:
        yield file
    finally:
        with _uninterrupted():
            file.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C until the block ends: HDF5's library calls Python to write, and crashes if an exception passes through it."""
    before, waiting = signal.getsignal(signal.SIGINT), []
    if threading.current_thread() is not threading.main_thread() or not callable(before):  # no signal arrives here, or it is ignored
        yield
        return
    signal.signal(signal.SIGINT, lambda *received: waiting.append(received))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            before(*waiting[0])


class _DeferredErrorFile(io.FileIO):
    """A file for HDF5's library that stores the first write error instead of raising it, and ignores all later writes.

    The library itself would keep what it could not write, try again when the file is closed and when the process ends, and crash there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._failure: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of `data`, unless an earlier write failed. Return its length in any case."""
        rest = memoryview(data)
        length = len(rest)
        try:
            while len(rest) and not self._failure:  # a disk that is nearly full takes only a part
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._failure = error
        return length

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length of the file, unless an earlier write failed. Return the wanted length in any case."""
        wanted = self.tell() if size is None else size
        try:
            return wanted if self._failure else super().truncate(wanted)
        except OSError as error:
            self._failure = error
            return wanted

    def require_written(self) -> None:
        """Raise the first error, if there is one."""
        if self._failure:
            raise self._failure


@contextmanager
def reading(path: Path) -> Iterator[tuple[Header, h5py.File]]:
    """Yield header and open file. Its arrays are checked to have the types that genrev writes, and to be no larger than the file.

    Raises FileError if the file is missing, truncated, damaged, or not written by genrev.
    """
    if path.is_dir():
        raise FileError(f"{path}: is a folder, but a .h5 file is needed")
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        file = open_hdf5(path)
    except BROKEN as error:
        if path.suffix == ".safetensors":
            raise FileError(f"{path}: is a checkpoint or a map, but a .h5 file is needed; were two files swapped?") from error
        raise FileError(f"{path}: not a readable HDF5 file, or truncated") from error
    with file:
        try:
            header = parse_header(_text(file, path), path)
            _require_sound_arrays(file, path.stat().st_size)
        except BROKEN as error:
            raise FileError(f"{path}: damaged: a part of it cannot be read back; make it again ({error})") from error
        try:
            yield header, file
            require_uncut(file)
        except OSError as error:  # Fletcher-32 mismatch, or truncated inside an array
            if lacks_memory(error):
                raise
            raise FileError(f"{path}: damaged: a part of it cannot be read back; make it again ({error})") from error


def require_uncut(file: h5py.File) -> None:
    """Raise OSError if an open file is shorter than when it was opened.

    HDF5's library reads zeros after the end, and zero is their correct checksum: images would silently be black.
    """
    size, was = os.fstat(file.id.get_vfd_handle()).st_size, file.id.get_filesize()
    if size < was:
        raise OSError(f"it has {size} bytes, but had {was} when it was opened")


def _text(file: h5py.File, path: Path) -> bytes | str | None:
    """Return the header's text, or None."""
    if KEY not in file.attrs:
        return None
    kind = file.attrs.get_id(KEY)
    text = h5py.check_string_dtype(kind.dtype)
    if kind.shape != () or text is None:
        raise ValueError("its header is not text")
    if text.length is None:
        about = path.stat()
        _require_sound_heaps(path, about.st_size, about.st_mtime_ns)
    return file.attrs[KEY]


@functools.cache
def _require_sound_heaps(path: Path, size: int, changed: int) -> None:
    """Raise ValueError if a global heap in the file has an object of size zero. Files of earlier versions store their header in a heap.

    HDF5's library does not check heaps, and loops forever at an object of size zero.
    """
    with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
        heap = content.find(_HEAP)
        while heap >= 0:
            end, place = min(heap + _integer(content, heap + 8), len(content)), heap + 16
            while place + 16 <= end:
                length = _integer(content, place + 8)
                step = 16 + (length + 7) // 8 * 8 if any(content[place : place + 2]) else length  # object 0 is the free space
                if step < 16:
                    raise ValueError("a heap in it has an object of size zero")
                place += step
            heap = content.find(_HEAP, heap + 8)


def _integer(content: mmap.mmap, place: int) -> int:
    return int.from_bytes(content[place : place + 8], "little")


def _require_sound_arrays(file: h5py.File, size: int) -> None:
    """Raise ValueError unless everything in a file of `size` bytes is an uncompressed array of numbers inside this file."""
    lengths = set()
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")
        array = file[name]
        if not isinstance(array, h5py.Dataset) or array.shape is None or array.dtype.kind not in "fiub":
            raise ValueError(f"{name} is not an array of numbers")
        if array.is_virtual or array.external:
            raise ValueError(f"{name} is stored in another file")
        shape, kind = array.shape, array.dtype
        stated = kind.itemsize * max(math.prod(shape), math.prod(array.chunks or ()))
        if stated > max(size, _CHUNK_BYTES):  # one chunk may be declared and not written
            raise ValueError(f"{name} claims {stated} bytes in a file of {size}")
        if name in _ARRAYS:
            lengths.add(shape[:1])
            if (kind.name, len(shape)) != _ARRAYS[name] or 0 in shape[1:]:
                raise ValueError(f"{name} must not be {kind.name} of shape {shape}")
    if len(lengths) > 1:
        raise ValueError("its arrays have different lengths")


def labels_of(file: h5py.File, path: Path) -> np.ndarray:
    """Return the labels of an open file, (n,) int64.

    Raises FileError for a label out of range: a loop over that many classes would never end.
    """
    labels = file["labels"][:]
    if len(labels) and not -1 <= labels.min() <= labels.max() < MOST_CLASSES:
        raise FileError(f"{path}: damaged: its labels are {labels.min()} … {labels.max()}, but must be −1 … {MOST_CLASSES - 1}")
    return labels


def require_whole(header: Header, file: h5py.File, path: Path) -> None:
    """Raise FileError unless the arrays of an open file match the digest in its header. Reads all arrays.

    The chunks' checksums are not enough: they do not cover the tables by which HDF5 finds the chunks.
    """
    if _digest(file) != header.sha256:
        raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")


def read_header(path: Path) -> Header:
    """Return the header only. Raises FileError like `reading`."""
    with reading(path) as (header, _):
        return header


def read_digest(path: Path) -> str:
    """Return the content digest, computed from every byte of the arrays. Raises FileError like `reading`."""
    with reading(path) as (_, file):
        return _digest(file)
