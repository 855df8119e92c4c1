"""Folders and archives with one interface: a sorted list of files that can be read. Nothing is extracted."""

import os
import re
import stat
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, ClassVar

from genrev_cli.data.formats import EXTENSIONS, is_picture
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP, require_plausible
from genrev_cli.files.samples import MARK

MAX_FILE_BYTES = 1 << 29  # larger than any image that genrev decodes, and smaller than a zip bomb

_MOST_ENTRIES = 1000

Read = Callable[[str], bytes]


class Container(ABC):
    """Files at `path`. streamed: they are read fastest in their order, by one process."""

    path: Path
    streamed: ClassVar[bool] = False

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all files, with '/', in natural order."""

    @abstractmethod
    def reader(self) -> AbstractContextManager[Read]:
        """Return a context with a function that reads a file by its name. It raises almost any exception for a broken file."""

    @abstractmethod
    def stream(self, name: str) -> IO[bytes]:
        """Return an open file of any size. Raises what `reader` raises."""

    @abstractmethod
    def where(self, name: str) -> str:
        """Return the name of a file in messages."""


@dataclass(frozen=True)
class Folder(Container):
    """All files below `path`, except in hidden folders. Links are followed: a folder that two of them lead to counts twice."""

    path: Path

    def names(self) -> list[str]:
        """Return paths relative to the folder, with '/', in natural order.

        Raises FileError for a link to a folder above it, which has no end, and for folders that links multiply beyond measure.
        """
        found: list[str] = []
        above: dict[str, tuple[str, ...]] = {}  # folder → where it and the folders above it really are
        entered: Counter[str] = Counter()
        for base, folders, files in os.walk(self.path, followlinks=True):
            real, parents = os.path.realpath(base), above.get(os.path.dirname(base), ())
            if real in parents:
                raise FileError(f"{base}: links make a loop here, back to {real}; remove the link")
            entered[real] += 1
            if entered[real] > _MOST_ENTRIES:
                raise FileError(f"{base}: links lead to this folder more than {_MOST_ENTRIES:,} times; remove some")
            above[base] = (*parents, real)
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            relative = Path(base).relative_to(self.path)
            found += [(relative / file).as_posix() for file in files]
        return sorted(found, key=natural_key)

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Yield a function that reads a file by its name. It raises OSError, or ValueError if the file is too large or not regular."""

        def read(name: str) -> bytes:
            path = self.path / name
            about = path.stat()
            if not stat.S_ISREG(about.st_mode):  # reading a pipe can block, and reading a device may never end
                raise ValueError("not a regular file")
            check_size(about.st_size)
            return path.read_bytes()

        yield read

    def stream(self, name: str) -> IO[bytes]:
        path = self.path / name
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a regular file")
        return path.open("rb")

    def where(self, name: str) -> str:
        return str(self.path / name)


@dataclass(frozen=True)
class Archive(Container):
    """All files in the zip at `path`."""

    path: Path

    def names(self) -> list[str]:
        """Return the names of the entries, in natural order. '\\' in the names of a zip from Windows becomes '/'.

        Raises FileError if it is not a zip, or an entry's name leads outside of it.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                entries = _entries(archive)
        except BROKEN_ZIP as error:
            raise FileError(f"{self.path}: not a readable zip archive, or truncated ({error})") from error
        require_inside(entries, self.path)
        return sorted(entries, key=natural_key)

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Yield a function that reads an entry by its name. It raises what zipfile raises for a broken or encrypted entry."""
        with zipfile.ZipFile(self.path) as archive:
            entries = _entries(archive)

            def read(name: str) -> bytes:
                entry = entries[name]
                check_size(entry.file_size)
                require_plausible(entry)
                return archive.read(entry)

            yield read

    def stream(self, name: str) -> IO[bytes]:
        with zipfile.ZipFile(self.path) as archive:  # the entry stays open
            entry = _entries(archive)[name]
            require_plausible(entry)
            return archive.open(entry)

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return name with '/' → entry, without folders."""
    entries = {info.filename.replace("\\", "/"): info for info in archive.infolist()}
    return {name: info for name, info in entries.items() if not name.endswith("/")}


def require_inside(names: Iterator[str] | Mapping[str, object] | Sequence[str], path: Path) -> None:
    """Raise FileError if a name leads outside of the archive at `path`."""
    for name in names:
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in re.split(r"[/\\]", name):
            raise FileError(f"{path}: the entry '{name}' leads outside of the archive; pack it again without such names")


@dataclass(frozen=True)
class Several(Container):
    """Several containers as one. parts: name → container; a file of a part is named 'PART/NAME'. The parts keep their order."""

    path: Path
    parts: Mapping[str, Container]

    def names(self) -> list[str]:
        """Return the names of all files, part after part, each in natural order."""
        return [f"{part}/{name}" for part, container in self.parts.items() for name in container.names()]

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Yield a function that reads a file by its name."""
        with ExitStack() as stack:
            opened: dict[str, Read] = {}

            def read(name: str) -> bytes:
                part, _, inner = name.partition("/")
                if part not in opened:
                    stack.close()  # one archive is open at a time, because there may be thousands
                    opened.clear()
                    opened[part] = stack.enter_context(self.parts[part].reader())
                return opened[part](inner)

            yield read

    def stream(self, name: str) -> IO[bytes]:
        part, _, inner = name.partition("/")
        return self.parts[part].stream(inner)

    def where(self, name: str) -> str:
        part, _, inner = name.partition("/")
        return self.parts[part].where(inner)


def open_container(path: Path, missing: str) -> Container:
    """Return the folder, zip or tar at `path`.

    Raises FileError if the path does not exist (the message ends with `missing`), or is none of them.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise FileError(f"{path}: no such folder or file; {missing}")
    if path.is_file() and zipfile.is_zipfile(path):
        return Archive(path)
    from genrev_cli.data.tar import is_tar, open_tar  # imports this module

    if path.is_file() and is_tar(path):
        return open_tar(path)
    advice = _advice(Counter({path.suffix.lower(): 1}), path)
    raise FileError(f"{path}: neither a folder nor a zip or tar archive (or a truncated one){advice}")


def image_names(container: Container) -> tuple[list[str], int]:
    """Return the names of the image files, and the number of other files.

    Images are found by extension in any letter case. If there is none, files without an extension are images if their content is.
    Hidden files and the __MACOSX folder of a Mac's zips count as other files; the header file in a folder of samples is not counted.

    Raises FileError if there is no image.
    """
    names = container.names()
    seen = [name for name in names if not re.search(r"(^|/)(\.|__MACOSX/)", name)]
    images = [name for name in seen if name.lower().endswith(EXTENSIONS)] or _by_content(container, seen)
    if not images:
        kinds = ", ".join(extension.removeprefix(".") for extension in EXTENSIONS)
        advice = _advice(Counter(PurePosixPath(name).suffix.lower() for name in seen), container.path)
        raise FileError(f"{container.path}: has no images{advice or f' ({kinds})'}")
    return images, len(names) - len(images) - (MARK in names)


def _by_content(container: Container, names: Sequence[str]) -> list[str]:
    nameless = [name for name in names if not PurePosixPath(name).suffix]
    found = []
    with container.reader() as read:
        for name in nameless:
            try:
                if is_picture(read(name)[:64]):
                    found.append(name)
            except Exception:  # an unreadable file is of no kind; if it has to be read, its error is reported then
                continue
    return found


_OTHERS = {
    ".npz": "array", ".npy": "array", ".h5": "array", ".hdf5": "array", ".parquet": "parquet", ".tar": "webdataset",
    ".idx3-ubyte": "idx", ".mat": "svhn", ".gz": "idx",
}  # fmt: skip
_PACKED = (".zip", ".tgz", ".rar", ".7z", ".xz", ".bz2", ".zst")
_DATABASES = (".mdb", ".lmdb", ".tfrecord")


def _advice(suffixes: Counter[str], path: Path) -> str:
    """Return what else a path may be, from the suffixes of its files: '; …'."""
    for suffix, _ in suffixes.most_common():
        if suffix in _OTHERS:
            return f"; {suffix} files are read by 'genrev prepare-data {_OTHERS[suffix]} --path {path}'"
        if suffix in _PACKED:
            return f"; unpack its {suffix} file, and pass the folder"
        if suffix in _DATABASES:
            return f"; {suffix} files are not read; save their images as files, .npz or parquet"
    return ""


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a key that sorts img2 before img10. Digits are compared by length, then as text, because int() limits their number."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if i % 2 else part for i, part in enumerate(parts)], name


def check_size(size: int) -> None:
    """Raise ValueError for a size that no image has."""
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size / 1e6:.0f} MB, more than an image can sensibly have")
