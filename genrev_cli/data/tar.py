"""Tar archives, plain or compressed with gzip. Files are read at their places; nothing is extracted."""

import gzip
import io
import posixpath
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from genrev_cli.data.listing import Container, Read, check_size, natural_key, require_inside
from genrev_cli.errors import FileError

_GZIP = b"\x1f\x8b"
_OTHER_PACKERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_BROKEN = (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, UnicodeError, OverflowError)
_MAX_HEADER = 1 << 20  # of one entry, for its long name
_SPARE = 1 << 30  # bytes that stay free on the disk
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Tar(Container):
    """The files in the tar at `path`. places: name → (offset, size) in the file `data`; (−1, 0) for links to outside.

    keeps: what deletes `data` if it is temporary; only the process that made it has it.
    """

    path: Path
    data: Path
    places: dict[str, tuple[int, int]]
    keeps: Any = field(default=None, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tar, (self.path, self.data, self.places)

    def names(self) -> list[str]:
        return sorted(self.places, key=natural_key)

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Yield a function that reads a file by its name. It raises ValueError for a link, a cut file, or one that is too large."""
        with self.data.open("rb") as file:

            def read(name: str) -> bytes:
                offset, size = self.places[name]
                if offset < 0:
                    raise ValueError("a link to a file that is not in the archive")
                check_size(size)
                file.seek(offset)
                content = file.read(size)
                if len(content) < size:
                    raise ValueError("the archive ends inside of this file")
                return content

            yield read

    def stream(self, name: str) -> IO[bytes]:
        offset, size = self.places[name]
        if offset < 0:
            raise ValueError("a link to a file that is not in the archive")
        return io.BufferedReader(_Section(self.data, offset, size))

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"


class _Section(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._file = path.open("rb")
        self._offset, self._size, self._place = offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to an offset from the start (whence 0), the current place (1) or the end (2)."""
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer. Return the number of bytes, 0 at the end."""
        self._file.seek(self._offset + self._place)
        part = self._file.read(max(0, min(len(buffer), self._size - self._place)))
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()


def is_tar(path: Path) -> bool:
    """Return True if a file looks like a tar, or may be a compressed one: a first look, without unpacking it."""
    with path.open("rb") as file:
        head = file.read(512)
    packed = path.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"))
    return head[257:262] == b"ustar" or (path.suffix.lower() == ".tar" and len(head) == 512) or (packed and len(head) > 0)


def open_tar(path: Path) -> Tar:
    """Open a tar. A compressed one is unpacked to one temporary file, because its files cannot be read at their places.

    Raises FileError if it is damaged, cut, sparse or compressed in another way, a name leads outside, or the disk is too small.
    """
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in _OTHER_PACKERS.items():
        if head.startswith(magic):
            raise FileError(f"{path}: compressed with {name}, which is not supported; unpack it, or pack it again with gzip")
    try:
        keeps = _unpacked(path) if head.startswith(_GZIP) else None
        data = Path(keeps.name) if keeps else path
        places = _places(data)
    except _BROKEN as error:
        raise FileError(f"{path}: not a readable tar archive, or truncated ({error})") from error
    require_inside(places, path)
    return Tar(path, data, places, keeps)


class _Limited(io.FileIO):
    """A file whose reads are limited: tarfile reads an entry's header of any size into memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER:
            raise ValueError(f"an entry has a header of {size} bytes")
        return super().read(size) or b""


def _places(path: Path) -> dict[str, tuple[int, int]]:
    """Return name → (offset, size) of all files and links in a plain tar."""
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    with _Limited(path) as raw, tarfile.open(fileobj=raw, mode="r:") as tar:
        for member in tar:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep all, and has no name for it
            name = posixpath.normpath(member.name) if member.name.startswith("./") else member.name
            if member.issparse():
                raise ValueError(f"'{name}' is sparse; pack it again without --sparse")
            if member.isreg():
                places[name] = member.offset_data, member.size
            elif member.islnk():
                links[name] = posixpath.normpath(member.linkname)
            elif member.issym():
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
    targets = {posixpath.normpath(name): place for name, place in places.items()}
    return places | {name: targets.get(target, (-1, 0)) for name, target in links.items()}


def _unpacked(path: Path) -> Any:
    """Return a temporary file with the unpacked content; it is deleted with the object. Raises FileError if the disk is too small."""
    target = tempfile.NamedTemporaryFile(prefix="genrev-", suffix=".tar")  # noqa: SIM115 (the Tar keeps it open)
    with gzip.open(path) as packed:
        while block := packed.read(_BLOCK):
            if shutil.disk_usage(target.name).free < _SPARE:
                target.close()
                raise FileError(f"{path}: does not fit unpacked on the disk of {tempfile.gettempdir()}; set TMPDIR to a larger one")
            target.write(block)
    target.flush()
    return target
