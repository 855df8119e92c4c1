"""Folders and zip archives as the same thing: a sorted list of files, each of which can be read. Nothing is extracted."""

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from genrev_cli.data.pixels import EXTENSIONS
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP, require_plausible
from genrev_cli.files.samples import MARK

MAX_FILE_BYTES = 1 << 29  # nothing we decode is larger; a zip bomb is

Read = Callable[[str], bytes]


@dataclass(frozen=True)
class Folder:
    """All files below `path`, hidden folders apart. Links are followed, but no folder is entered twice."""

    path: Path

    def names(self) -> list[str]:
        """Paths relative to the folder, with '/', in natural order."""
        found, entered = [], set()
        for base, folders, files in os.walk(self.path, followlinks=True):
            if os.path.realpath(base) in entered:
                folders.clear()
                continue
            entered.add(os.path.realpath(base))
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            relative = Path(base).relative_to(self.path)
            found += [(relative / file).as_posix() for file in files]
        return sorted(found, key=natural_key)

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """A function that reads a file by its name. It raises OSError, or ValueError for what is too large or no file of bytes."""

        def read(name: str) -> bytes:
            path = self.path / name
            about = path.stat()
            if not stat.S_ISREG(about.st_mode):  # a pipe would be waited for, a device read without end
                raise ValueError("not a file of bytes")
            _check_size(about.st_size)
            return path.read_bytes()

        yield read

    def where(self, name: str) -> str:
        """How a message names a file."""
        return str(self.path / name)


@dataclass(frozen=True)
class Archive:
    """All files in the zip at `path`."""

    path: Path

    def names(self) -> list[str]:
        """Entries, in natural order.

        Raises FileError when it is not a zip, or an entry's name leads outside of it.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        except BROKEN_ZIP as error:
            raise FileError(f"{self.path}: not a readable zip archive, or truncated ({error})") from error
        for name in names:
            if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in re.split(r"[/\\]", name):
                raise FileError(f"{self.path}: the entry '{name}' leads outside of the archive; pack it again without such names")
        return sorted(set(names), key=natural_key)

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """A function that reads an entry by its name. It raises what zipfile raises for a broken or encrypted one."""
        with zipfile.ZipFile(self.path) as archive:

            def read(name: str) -> bytes:
                entry = archive.getinfo(name)
                _check_size(entry.file_size)
                require_plausible(entry)
                return archive.read(entry)

            yield read

    def where(self, name: str) -> str:
        """How a message names an entry."""
        return f"{self.path}: {name}"


Container = Folder | Archive


def open_container(path: Path, missing: str) -> Container:
    """The folder or zip at `path`.

    Raises FileError, with `missing` as its cure, when there is nothing; and when it is neither.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise FileError(f"{path}: no such folder or file; {missing}")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise FileError(f"{path}: neither a folder nor a zip archive (or a truncated one)")
    return Archive(path)


def image_names(container: Container) -> tuple[list[str], int]:
    """The image files, by their extension in any letter case, and how many other files there are.

    Hidden files and the __MACOSX part of a Mac's zips only look like images and count as others; our own note in a folder of samples
    does not count.

    Raises FileError when there is no image.
    """
    names = container.names()
    images = [name for name in names if name.lower().endswith(EXTENSIONS) and not re.search(r"(^|/)(\.|__MACOSX/)", name)]
    if not images:
        kinds = ", ".join(extension.removeprefix(".") for extension in EXTENSIONS)
        raise FileError(f"{container.path}: has no images ({kinds}) in it")
    return images, len(names) - len(images) - (MARK in names)


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Sorts img2 before img10; numbers by their length first, for they may have more digits than Python makes a number of."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if i % 2 else part for i, part in enumerate(parts)], name


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size / 1e6:.0f} MB, more than an image can sensibly have")
