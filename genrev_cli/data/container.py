"""Folders and zip archives with one interface: a sorted list of files that can be read. Nothing is extracted."""

import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from genrev_cli.data.pixels import EXTENSIONS
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP, require_plausible
from genrev_cli.files.samples import MARK

MAX_FILE_BYTES = 1 << 29  # larger than any image that genrev decodes, and smaller than a zip bomb

_MOST_ENTRIES = 1000

Read = Callable[[str], bytes]


@dataclass(frozen=True)
class Folder:
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
            _check_size(about.st_size)
            return path.read_bytes()

        yield read

    def where(self, name: str) -> str:
        """Return the name of a file in messages."""
        return str(self.path / name)


@dataclass(frozen=True)
class Archive:
    """All files in the zip at `path`."""

    path: Path

    def names(self) -> list[str]:
        """Return the names of the entries, in natural order.

        Raises FileError if it is not a zip, or an entry's name leads outside of it.
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
        """Yield a function that reads an entry by its name. It raises what zipfile raises for a broken or encrypted entry."""
        with zipfile.ZipFile(self.path) as archive:

            def read(name: str) -> bytes:
                entry = archive.getinfo(name)
                _check_size(entry.file_size)
                require_plausible(entry)
                return archive.read(entry)

            yield read

    def where(self, name: str) -> str:
        """Return the name of an entry in messages."""
        return f"{self.path}: {name}"


Container = Folder | Archive


def open_container(path: Path, missing: str) -> Container:
    """Return the folder or zip at `path`.

    Raises FileError if the path does not exist (the message ends with `missing`), or is neither a folder nor a zip.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise FileError(f"{path}: no such folder or file; {missing}")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise FileError(f"{path}: neither a folder nor a zip archive (or a truncated one)")
    return Archive(path)


def image_names(container: Container) -> tuple[list[str], int]:
    """Return the names of the image files, found by extension in any letter case, and the number of other files.

    Hidden files and the __MACOSX folder of a Mac's zips count as other files; the header file in a folder of samples is not counted.

    Raises FileError if there is no image.
    """
    names = container.names()
    images = [name for name in names if name.lower().endswith(EXTENSIONS) and not re.search(r"(^|/)(\.|__MACOSX/)", name)]
    if not images:
        kinds = ", ".join(extension.removeprefix(".") for extension in EXTENSIONS)
        raise FileError(f"{container.path}: has no images ({kinds})")
    return images, len(names) - len(images) - (MARK in names)


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a key that sorts img2 before img10. Digits are compared by length, then as text, because int() limits their number."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if i % 2 else part for i, part in enumerate(parts)], name


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size / 1e6:.0f} MB, more than an image can sensibly have")
