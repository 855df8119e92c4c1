"""Atomic writes: write a temporary file beside the target, flush it to the disk, rename it. A target is never half-written."""

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from genrev_cli.errors import FileError
from genrev_cli.files.parts import beside, drop_orphans, held, hold, make_folder, remove, sync

_SYNCING = 16  # threads, which wait for the disk: 2,000 small files took 0.45 s one by one and 0.18 s in 16
_ATTEMPTS = 10  # at replacing a folder while other processes replace it too


def _sync_all(paths: Sequence[Path]) -> None:
    """Flush them side by side: a disk writes many files' changes at once when they are asked for together.

    One file needs no thread. Where memory is short, a thread can end before it begins, and Python then waits for it for ever.
    """
    if len(paths) == 1:
        sync(paths[0])
        return
    with ThreadPoolExecutor(min(len(paths), _SYNCING)) as pool:
        for _ in pool.map(sync, paths):
            continue


@contextmanager
def atomic_path(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield an empty file (or folder) beside `target` to write to; on success it becomes the target.

    The file is flushed to the disk before the rename. A symbolic link is followed: its target is replaced, not the link. What replaces a
    file or folder gets its permissions.

    Raises FileError if the folder cannot be written to, or the disk is full.
    """
    target = Path(os.path.realpath(target))
    try:
        if target.is_symlink():  # still a link after realpath: it leads to itself
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        make_folder(target.parent)
        drop_orphans(target)
        with held(target, folder=folder, mode=_mode(target, folder)) as part:
            yield part
            _sync_all([part, *part.rglob("*")] if part.is_dir() else [part])
            _put(part, target)
            with suppress(OSError):  # the content is already on the disk; some file systems cannot flush a folder
                sync(target.parent)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {system_error(error) or error}") from error


def _mode(target: Path, folder: bool) -> int | None:
    """Return the permissions of what is replaced; None if there is nothing of the same kind."""
    return stat.S_IMODE(target.stat().st_mode) if target.exists() and target.is_dir() == folder else None


def system_error(error: BaseException) -> str:
    """Return the operating system's message for an error, even if a library written in Rust wraps it; '' if there is none."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    number = re.search(r"os error (\d+)", str(error))
    return os.strerror(int(number[1])) if number else ""


def _put(part: Path, target: Path) -> None:
    """Rename a file or folder to its target.

    A folder cannot replace a folder with files, so the old folder is moved away first; it is restored if the rename fails.
    """
    old, kept = beside(target, ".old"), None
    try:
        for attempt in range(_ATTEMPTS):
            if target.is_dir():
                kept = kept or hold(target)  # so that no other writer takes it for left behind
                with suppress(FileNotFoundError):  # another process moved it first
                    os.replace(target, old)
            try:
                os.replace(part, target)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS - 1:
                    raise
            remove(old)  # another process has put a new folder at the target, which is moved away next
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        with suppress(OSError):
            remove(old)
        if kept is not None:
            os.close(kept)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 with unchanged line ends, atomically."""
    with atomic_path(target) as part:
        part.write_bytes(text.encode())
