"""Folders and archives with one interface: a sorted list of files that can be read. Nothing is extracted."""

import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from genrev_cli.data.formats import EXTENSIONS, is_picture
from genrev_cli.data.listing import Container, Read, check_size, natural_key, require_inside
from genrev_cli.data.tar import is_tar, open_tar
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP, require_plausible
from genrev_cli.files.samples import MARK

_MOST_ENTRIES = 1000


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
    """Return name with '/' → entry, without folders. Raises ValueError for an entry without a name."""
    entries = {info.filename.replace("\\", "/"): info for info in archive.infolist()}
    if "" in entries:
        raise ValueError("an entry has no name")
    return {name: info for name, info in entries.items() if not name.endswith("/")}


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
    if path.is_file() and is_tar(path):
        return open_tar(path)
    truncated = path.name.lower().endswith((".zip", ".tar", ".tgz", ".gz"))  # or of another kind than its name says
    if advice := "" if truncated else _advice([path.name], path):
        raise FileError(f"{path}: no folder, zip or tar of picture files{advice}")
    raise FileError(f"{path}: neither a folder nor a zip or tar archive (or a truncated one)")


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
        advice = _advice(seen, container.path)
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


_READ, _OTHER = "read {what} with 'genrev prepare-data {source} --path {path}'", "{end} files are not read; {cure}"
_UNPACK, _SAVE = "unpack them, and pass the folder", "save their images as files, .npz or parquet"
_KINDS = {
    **dict.fromkeys((".npz", ".npy", ".h5", ".hdf5"), _READ.replace("{source}", "array")),
    **dict.fromkeys((".tar", ".tar.gz", ".tgz"), _READ.replace("{source}", "webdataset")),
    **dict.fromkeys(("-ubyte", "-ubyte.gz"), _READ.replace("{source}", "idx")),
    ".parquet": _READ.replace("{source}", "parquet"),
    "_32x32.mat": _READ.replace("{source}", "svhn"),
    **dict.fromkeys((".zip", ".rar", ".7z", ".tar.xz", ".tar.bz2", ".tar.zst"), _OTHER.replace("{cure}", _UNPACK)),
    **dict.fromkeys((".mdb", ".lmdb", ".tfrecord", ".mat", ".pkl", ".pickle"), _OTHER.replace("{cure}", _SAVE)),
}
"""End of the name of another kind of file → what can be done with it."""


def _advice(names: Iterable[str], path: Path) -> str:
    """Return what can be done with the most frequent kind of other files at a path: '; …'; '' if nothing is known."""
    found = Counter(next((end for end in _KINDS if name.lower().endswith(end)), "") for name in names)
    end = next((end for end, _ in found.most_common() if end), "")
    what = "it" if end and path.name.lower().endswith(end) else f"its {end} files"
    return f"; {_KINDS[end].format(end=end, path=path, what=what)}" if end else ""
