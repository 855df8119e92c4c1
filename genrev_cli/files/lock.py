"""A lock file that allows one run per target, names the process that holds it, and is released when that process ends."""

import errno
import json
import os
import platform
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.parts import make_folder

try:
    import fcntl
except ImportError:  # Windows has no such locks, so two runs of one target are not prevented there
    fcntl = None  # type: ignore[assignment]  # a module that does not exist

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Errors of file systems without locks; two runs of one target are not prevented there either."""

_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link, and no wait for a pipe
_BEGINS = b'{"pid": '

_PAUSE = 0.02
"""Seconds between two attempts to get a lock."""


@contextmanager
def locked(path: Path, target: Path, *, wait: bool = False, other: str = "another --out") -> Iterator[None]:
    """Hold the lock file at `path` while the block writes `target`; the lock's folder is created.

    wait: wait for another process that holds it, for locks that are held for moments only. other: what an error proposes to choose.

    The operating system releases the lock when the process ends, so a killed run never blocks the next one. If the file system locks
    across machines, runs on other machines are excluded too.

    Raises UsageError, naming process and machine, if another process holds the lock, FileError if the folder cannot be written to, or if
    `path` is a link or a file of someone else.
    """
    try:
        make_folder(path.parent)
        descriptor = _acquired(path, target, other) if not wait else _waited_for(path, target, other)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror}); choose {other}") from error
    try:
        yield
    finally:
        _release(path, descriptor)


def require_no_links(folder: Path, *, besides: Collection[str] = ()) -> None:
    """Raise FileError if there is a link in a folder that genrev fills, at any depth: what it leads to would be overwritten.

    besides: names of folders in it that are not looked into. The folder itself may be a link, for example to a larger disk.
    """
    for inner, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(inner, name)):
                raise FileError(f"{Path(inner, name)}: is a link, and genrev would overwrite what it leads to; remove the link")
        folders[:] = [name for name in folders if name not in besides]


def _release(path: Path, descriptor: int) -> None:
    with suppress(OSError):  # the disk may be gone; a lock file that stays is taken over by the next run
        path.unlink(missing_ok=True)  # before the lock is released, so that no other process locks a file that is then removed
    os.close(descriptor)
    with suppress(OSError):
        path.parent.rmdir()  # only if it is empty


def _waited_for(path: Path, target: Path, other: str) -> int:
    """Return the descriptor of the open, locked file as soon as no other process holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)  # its holder may have removed the folder
        with suppress(UsageError, FileNotFoundError):
            return _acquired(path, target, other)
        time.sleep(_PAUSE)


def _acquired(path: Path, target: Path, other: str) -> int:
    """Return the descriptor of the open, locked file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFUL, 0o644)
        try:
            _require_own(path, descriptor)
            if fcntl:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(os.read(descriptor, 4096))
            os.close(descriptor)
            raise UsageError(f"{target}: {owner} is writing it; wait for that run, stop it, or choose {other}") from None
        except FileError:
            os.close(descriptor)
            raise
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                _release(path, descriptor)
                raise
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            break
        os.close(descriptor)  # its holder removed the file after this process opened it and before it was locked
    try:
        os.ftruncate(descriptor, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.write(descriptor, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}).encode())
    except OSError:  # the disk is full
        _release(path, descriptor)
        raise
    return descriptor


def _require_own(path: Path, descriptor: int) -> None:
    """Raise FileError unless the open file is a lock: a file that is empty or begins with its holder."""
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or not os.pread(descriptor, len(_BEGINS), 0) == _BEGINS[: about.st_size]:
        raise FileError(f"{path}: is not a lock of genrev, and would be overwritten; move it")


def _owner(content: bytes) -> str:
    try:
        owner = json.loads(content)
        return f"process {owner['pid']} on {owner['host']} (since {owner['since']})"
    except (ValueError, KeyError, TypeError):  # the holder has not written its name yet
        return "another process"
