"""The IDX format (LeCun's, of MNIST), compressed with gzip or not, and the names by which its files belong together."""

import gzip
import hashlib
import math
import posixpath
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from genrev_cli.data.container import Container
from genrev_cli.data.split_words import split_of
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP
from genrev_cli.files.rows import StreamedRows

_TYPES: dict[int, np.dtype] = {8: np.dtype(np.uint8), 9: np.dtype(np.int8), 0xB: np.dtype(">i2"), 0xC: np.dtype(">i4")}
_MOST_AXES = 4
_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"

# 'train-images-idx3-ubyte', 'train-images.idx3-ubyte', 'emnist-letters-test-labels-idx1-ubyte', 'qmnist-train-labels-idx2-int'
_NAME = re.compile(r"(?P<before>.*?)(?P<kind>images|labels)[-_.](?:idx\d?(?:[-_.](?:u?byte|int|short))?|u?byte)(?:\.gz)?", re.I)


@dataclass(frozen=True)
class Named:
    """Data set and part that a file's name states.

    set: folder and name of the data set, '' for neither. part: as in `Source.split`, −1 for none.
    """

    name: str
    set: str
    part: int
    kind: str


def read_name(name: str) -> Named | None:
    """Return what the name of an IDX file says, None for other files. A folder of the same name, as Kaggle has it, is skipped."""
    *folders, base = name.split("/")
    match = _NAME.fullmatch(base)
    if not match:
        return None
    folders = [folder for folder in folders if not _NAME.fullmatch(folder)]
    words = [word for word in re.split(r"[-_.]", match["before"]) if word]
    part = split_of(words[-1]) if words else -1
    own = "-".join(words[:-1] if part >= 0 else words)
    return Named(name, "/".join(filter(None, (posixpath.join(*folders) if folders else "", own))), part, match["kind"].lower())


def find_idx(container: Container) -> list[Named]:
    """Return the IDX files in a container, by their names."""
    visible = [name for name in container.names() if not re.search(r"(^|/)(\.|__MACOSX/)", name)]
    return [named for named in map(read_name, visible) if named]


@dataclass(frozen=True)
class IdxFile:
    """An IDX file. md5: of its content. packed_md5: of the file itself; both are equal if it is not compressed."""

    rows: StreamedRows
    md5: str
    packed_md5: str
    where: str


def open_idx(container: Container, name: str) -> IdxFile:
    """Open an IDX file after reading it once. A plain file may be called .gz, and the other way round: its content decides.

    Raises FileError if it is damaged, cut, or no IDX file of whole numbers.
    """
    where = container.where(name)
    try:
        with _plain(container, name) as file:
            shape, dtype, start = _header(file, where)
            size = math.prod(shape) * dtype.itemsize
            md5, found = hashlib.md5(usedforsecurity=False), 0
            md5.update(_header_bytes(dtype, shape))
            for block in _blocks(file, size + 1):  # a compressed bomb is not read to its end
                md5.update(block)
                found += len(block)
        require_size(shape, dtype, found, where)
        with container.stream(name) as raw:
            packed = hashlib.md5(usedforsecurity=False)
            for block in _blocks(raw, None):
                packed.update(block)
    except BROKEN_ZIP as error:
        raise FileError(f"{where}: cannot be read ({error})") from error

    def opened() -> IO[bytes]:
        file = _plain(container, name)
        file.read(start)
        return file

    return IdxFile(StreamedRows(shape, dtype, opened, where), md5.hexdigest(), packed.hexdigest(), where)


def read_idx(data: bytes, where: str) -> np.ndarray:
    """Return the array in an IDX file: two zero bytes, the type, the number of axes, each axis as a big-endian int32, the values.

    Raises FileError, naming `where`, if the size of `data` does not match.
    """
    shape, dtype, start = _parsed(data, where)
    require_size(shape, dtype, len(data) - start, where)
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def require_size(shape: Sequence[int], dtype: np.dtype, found: int, where: str) -> None:
    """Raise FileError unless an array of `shape` has `found` bytes."""
    claimed = math.prod(shape) * dtype.itemsize
    if found != claimed:
        raise FileError(f"{where}: damaged: its header claims {claimed} bytes for shape {tuple(shape)}, but it has {found}")


def _plain(container: Container, name: str) -> IO[bytes]:
    """Return the file, unpacked if its content is compressed."""
    with container.stream(name) as raw:
        packed = raw.read(2) == _GZIP
    raw = container.stream(name)
    if not packed:
        return raw
    file = gzip.GzipFile(fileobj=raw, mode="rb")
    file.myfileobj = raw  # type: ignore[assignment]  # closed with it
    return file  # type: ignore[return-value]  # it is a stream of bytes


def _blocks(file: IO[bytes], most: int | None) -> Iterator[bytes]:
    """Yield the content, but only the first `most` bytes."""
    while block := file.read(_BLOCK if most is None else min(_BLOCK, most)):
        yield block
        most = most if most is None else most - len(block)


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype, int]:
    head = file.read(4)
    axes = head[3] if len(head) == 4 else 0
    return _parsed(head + file.read(4 * min(axes, _MOST_AXES)), where)


def _parsed(data: bytes, where: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Return shape, type and the place of the first value."""
    if len(data) < 4 or data[:2] != bytes(2) or data[2] not in _TYPES or data[3] > _MOST_AXES:
        raise FileError(f"{where}: not an IDX file of bytes or whole numbers: its first bytes are {data[:4].hex(' ') or 'missing'}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise FileError(f"{where}: truncated inside its header")
    return struct.unpack(f">{data[3]}I", data[4:start]), _TYPES[data[2]], start


def _header_bytes(dtype: np.dtype, shape: Sequence[int]) -> bytes:
    code = next(code for code, known in _TYPES.items() if known == dtype)
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
