"""HDF5 files with a genrev header: prepared images, samples, latent codes.

Data sets are chunked with Fletcher-32 checksums, so a flipped byte is an error when it is read and not a wrong pixel.
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

import h5py
import numpy as np

from genrev_cli.errors import FileError, lacks_memory
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header

_CHUNK_BYTES = 1 << 16  # small, so that a random row costs one small read
_BLOCK_BYTES = 1 << 24  # what is held while hashing or copying

MOST_CLASSES = 1 << 16

_HEAP = b"GCOL\x01\0\0\0"
_ARRAYS = {"images": ("uint8", 4), "labels": ("int64", 1), "split": ("uint8", 1), "codes": ("float32", 2), "rows": ("int64", 1)}
"""The arrays that we write, their types and how many axes they have; as many rows in all of a file."""
_BROKEN = (OSError, KeyError, ValueError, TypeError, RuntimeError, NotImplementedError, OverflowError)
"""h5py's words for damaged metadata."""


def _rows(shape: tuple[int, ...], itemsize: int, budget: int) -> int:
    return max(1, budget // max(1, int(np.prod(shape[1:], dtype=np.int64)) * itemsize))


class Writer:
    """Writes named arrays row block by row block, so that memory stays bounded however large the file.

    header: written at the end; may be replaced until then, by what is known only after the arrays.
    """

    def __init__(self, file: h5py.File, raw: "_Forgiving", header: Header) -> None:
        self._file, self._raw = file, raw
        self.header = header

    def create(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
        """Make room for an array of `shape`; the first axis is the one that `write` fills."""
        rows = min(max(shape[0], 1), _rows(shape, np.dtype(dtype).itemsize, _CHUNK_BYTES))
        with _uninterrupted():
            self._file.create_dataset(name, shape, dtype, chunks=(rows, *shape[1:]), fletcher32=True, maxshape=(None, *shape[1:]))

    def write(self, name: str, start: int, block: np.ndarray) -> None:
        """Rows start … start + len(block). Raises what kept the file from being written so far."""
        with _uninterrupted():
            self._file[name][start : start + len(block)] = block
        self._raw.require_written()

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
    with atomic_path(path) as part, _Forgiving(part) as raw:
        with _created(raw) as file:
            writer = Writer(file, raw, header)
            yield writer
            with _uninterrupted():
                file.flush()
                raw.require_written()
                text = replace(writer.header, sha256=_digest(file)).to_json().encode()
                # Of a fixed length it stands where HDF5 has a checksum over it; one of variable length would not.
                file.attrs.create(KEY, text, dtype=h5py.string_dtype("utf-8", len(text)))
        raw.require_written()


@contextmanager
def _created(raw: "_Forgiving") -> Iterator[h5py.File]:
    with _uninterrupted():
        file = h5py.File(raw, "w", libver="latest")  # 'latest' lets an attribute exceed 64 KB
    try:
        yield file
    finally:
        with _uninterrupted():
            file.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Around HDF5's library, which calls back to write and breaks down if anything is raised through it: Ctrl-C waits for the end."""
    before, waiting = signal.getsignal(signal.SIGINT), []
    if threading.current_thread() is not threading.main_thread() or not callable(before):  # elsewhere none arrives; or it is ignored
        yield
        return
    signal.signal(signal.SIGINT, lambda *came: waiting.append(came))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            before(*waiting[0])


class _Forgiving(io.FileIO):
    """A file for HDF5's library, which is never told that it cannot be written.

    The library would keep what it could not write and try again when the file is closed, and once more when the process ends, where it
    breaks down. What happened is kept, and the rest of the file goes nowhere.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._failure: OSError | None = None

    def write(self, data: memoryview) -> int:
        """All of `data`, if nothing has failed before."""
        length = len(data)
        try:
            while len(data) and not self._failure:  # a disk that is nearly full takes a part of it
                data = data[super().write(data) :]
        except OSError as error:
            self._failure = error
        return length

    def truncate(self, size: int) -> int:
        """Make the file as long as that, if nothing has failed before."""
        try:
            return size if self._failure else super().truncate(size)
        except OSError as error:
            self._failure = error
            return size

    def require_written(self) -> None:
        """Raise what happened first."""
        if self._failure:
            raise self._failure


@contextmanager
def reading(path: Path) -> Iterator[tuple[Header, h5py.File]]:
    """Header and open file. Its arrays are of the types that we write, and not larger than the file, however little of it is read.

    Raises FileError when the file is missing, truncated, damaged, or not of genrev's.
    """
    if path.is_dir():
        raise FileError(f"{path}: a folder where a .h5 file is needed")
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r")
    except _BROKEN as error:
        raise FileError(f"{path}: not a readable HDF5 file, or truncated") from error
    with file:
        try:
            header = parse_header(_text(file, path), path)
            _require_sound_arrays(file, path.stat().st_size)
        except _BROKEN as error:
            raise FileError(f"{path}: damaged: a part of it cannot be read back; make it again ({error})") from error
        try:
            yield header, file
            require_uncut(file)
        except OSError as error:  # Fletcher-32 mismatch, or cut short inside a data set
            if lacks_memory(error):
                raise
            raise FileError(f"{path}: damaged: a part of it cannot be read back; make it again ({error})") from error


def require_uncut(file: h5py.File) -> None:
    """Raise OSError where an open file has become shorter than it was when it was opened.

    HDF5's library reads zeros behind the end, and their checksum is zero too: images would be black without a word.
    """
    size, was = os.fstat(file.id.get_vfd_handle()).st_size, file.id.get_filesize()
    if size < was:
        raise OSError(f"it has {size} bytes, and had {was} when it was opened")


def _text(file: h5py.File, path: Path) -> bytes | str | None:
    """The header's text; None where there is none."""
    if KEY not in file.attrs:
        return None
    kind = file.attrs.get_id(KEY)
    text = h5py.check_string_dtype(kind.dtype)
    if kind.shape != () or text is None:
        raise ValueError("its header is no text")
    if text.length is None:
        about = path.stat()
        _require_sound_heaps(path, about.st_size, about.st_mtime_ns)
    return file.attrs[KEY]


@functools.cache
def _require_sound_heaps(path: Path, size: int, changed: int) -> None:
    """Raise ValueError for a file of an earlier version, whose header stands in a global heap, with a heap in it that is damaged.

    HDF5's library does not check these, and goes round in circles in one that has an object of no size.
    """
    with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
        heap = content.find(_HEAP)
        while heap >= 0:
            end, place = min(heap + _integer(content, heap + 8), len(content)), heap + 16
            while place + 16 <= end:
                length = _integer(content, place + 8)
                step = 16 + (length + 7) // 8 * 8 if any(content[place : place + 2]) else length  # number 0 is the rest, which is free
                if step < 16:
                    raise ValueError("a heap in it has an object of no size")
                place += step
            heap = content.find(_HEAP, heap + 8)


def _integer(content: mmap.mmap, place: int) -> int:
    return int.from_bytes(content[place : place + 8], "little")


def _require_sound_arrays(file: h5py.File, size: int) -> None:
    """Raise ValueError unless everything in a file of `size` bytes is an array of numbers that stands in it, and not packed."""
    lengths = set()
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link to somewhere else")
        array = file[name]
        if not isinstance(array, h5py.Dataset) or array.shape is None or array.dtype.kind not in "fiub":
            raise ValueError(f"{name} is no array of numbers")
        if array.is_virtual or array.external:
            raise ValueError(f"{name} stands in another file")
        shape, kind = array.shape, array.dtype
        promised = kind.itemsize * max(math.prod(shape), math.prod(array.chunks or ()))
        if promised > max(size, _CHUNK_BYTES):  # a chunk may be there and not written yet
            raise ValueError(f"{name} promises {promised} bytes in a file of {size}")
        if name in _ARRAYS:
            lengths.add(shape[:1])
            if (kind.name, len(shape)) != _ARRAYS[name] or 0 in shape[1:]:
                raise ValueError(f"{name} is {kind.name} of shape {shape}")
    if len(lengths) > 1:
        raise ValueError("its arrays have different lengths")


def labels_of(file: h5py.File, path: Path) -> np.ndarray:
    """The labels of an open file, (n,) int64.

    Raises FileError for a number that no class can have: what goes through all classes would not come to an end.
    """
    labels = file["labels"][:]
    if len(labels) and not -1 <= labels.min() <= labels.max() < MOST_CLASSES:
        raise FileError(f"{path}: damaged: its labels are {labels.min()} … {labels.max()}, where −1 … {MOST_CLASSES - 1} is possible")
    return labels


def require_whole(header: Header, file: h5py.File, path: Path) -> None:
    """Raise FileError where the arrays of an open file are not those that its header was written with.

    Reads all of them. The checksums of chunks say nothing of HDF5's own tables, by which it finds them.
    """
    if _digest(file) != header.sha256:
        raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")


def read_header(path: Path) -> Header:
    """The header alone. Raises FileError like `reading`."""
    with reading(path) as (header, _):
        return header


def read_digest(path: Path) -> str:
    """The content digest recomputed from every byte of the arrays. Raises FileError like `reading`."""
    with reading(path) as (_, file):
        return _digest(file)
