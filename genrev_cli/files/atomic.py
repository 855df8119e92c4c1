"""A target exists whole or not at all: write beside it, flush to the disk, rename."""

import errno
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from genrev_cli.errors import FileError

_SUFFIX = ".genrev-part"
_LONGEST = 100  # bytes of a name that is kept in that of its part, which is longer and must not be too long
_SYNCING = 16  # threads, which wait for the disk: 5,000 small files took 11 s one by one and 4 s in 16
_ATTEMPTS = 10  # at putting a folder in the place of another one, while other processes do the same

_UMASK = os.umask(0)  # can only be read by setting it
os.umask(_UMASK)


def _remove(path: Path) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):  # False, and no error, for a path that cannot be: a file as its folder, a name too long
        path.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's process
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(paths: Sequence[Path]) -> None:
    """Flush them side by side: a disk writes many files' changes at once when they are asked for together."""
    with ThreadPoolExecutor(min(len(paths), _SYNCING)) as pool:
        for _ in pool.map(_sync, paths):
            continue


def _here() -> str:
    """This machine, in a name: many may write to one disk, and have processes of the same number."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _stem(target: Path) -> str:
    name = os.fsencode(target.name)
    return f".{target.name}" if len(name) <= _LONGEST else f".{hashlib.sha256(name).hexdigest()[:32]}"


def _beside(target: Path, mark: str = "") -> Path:
    """Where this process puts what is to become the target, or with `.old` what was in its place."""
    return target.with_name(f"{_stem(target)}{mark}.{os.getpid()}-{_here()}{_SUFFIX}")


def _drop_orphans(target: Path) -> None:
    """Remove what killed writers of this target left behind; a folder that was moved away and not yet replaced comes back.

    Other machines' parts stay: whether their writers are alive cannot be seen from here.
    """
    stem = _stem(target)
    for part in target.parent.glob(f".*{_SUFFIX}"):
        name, _, owner = part.name.removesuffix(_SUFFIX).rpartition(".")
        pid, _, machine = owner.partition("-")  # earlier versions named no machine
        if name not in (stem, f"{stem}.old") or machine not in ("", _here()) or not pid.isdigit() or _alive(int(pid)):
            continue
        if name.endswith(".old") and not target.exists():
            os.replace(part, target)
        else:
            _remove(part)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to (a file, or a folder made by the caller); on success it becomes the target.

    The file is flushed to the disk before the rename. A symbolic link is followed, so that its target is replaced and not the link.

    Raises FileError when the folder cannot be written to, or the disk is full.
    """
    target = Path(os.path.realpath(target))
    part = _beside(target)
    try:
        if target.is_symlink():  # what it leads to is itself
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target.parent.mkdir(parents=True, exist_ok=True)
        _drop_orphans(target)
        _remove(part)
        yield part
        _sync_all([part, *part.rglob("*")] if part.is_dir() else [part])
        if part.is_file():
            with suppress(PermissionError):  # on disks that have no modes
                part.chmod(0o666 & ~_UMASK)  # safetensors writes for its owner alone
        _put(part, target)
        with suppress(OSError):  # the content is on the disk by now; not every one can flush a folder's names
            _sync(target.parent)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {system_error(error) or error}") from error
    finally:
        with suppress(OSError):  # a disk that is gone keeps it
            _remove(part)


def system_error(error: BaseException) -> str:
    """The operating system's words for what went wrong, also where a library written in Rust wraps them into its own; '' if none."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    number = re.search(r"os error (\d+)", str(error))
    return os.strerror(int(number[1])) if number else ""


def _put(part: Path, target: Path) -> None:
    """Rename a file or folder to its target.

    A folder cannot take the place of another that has files: that one is moved away first, and comes back if this fails.
    """
    old = _beside(target, ".old")
    try:
        for attempt in range(_ATTEMPTS):
            if target.is_dir():
                with suppress(FileNotFoundError):  # another process was quicker
                    os.replace(target, old)
            try:
                os.replace(part, target)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS - 1:
                    raise
            _remove(old)  # another process put one there meanwhile, which is what was to be replaced now
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        with suppress(OSError):
            _remove(old)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, its line ends as they are, atomically."""
    with atomic_path(target) as part:
        part.write_bytes(text.encode())
