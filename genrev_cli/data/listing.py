"""The interface of folders and archives: a sorted list of files that can be read."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, ClassVar

from genrev_cli.errors import FileError

MAX_FILE_BYTES = 1 << 29  # larger than any image that genrev decodes, and smaller than a zip bomb

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


def require_inside(names: Iterable[str], path: Path) -> None:
    """Raise FileError if a name leads outside of the archive at `path`."""
    for name in names:
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in re.split(r"[/\\]", name):
            raise FileError(f"{path}: the entry '{name}' leads outside of the archive; pack it again without such names")


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a key that sorts img2 before img10. Digits are compared by length, then as text, because int() limits their number."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if i % 2 else part for i, part in enumerate(parts)], name


def check_size(size: int) -> None:
    """Raise ValueError for a size that no image has."""
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size / 1e6:.0f} MB, more than an image can sensibly have")
