"""A lock file that allows one run per target, names the process that holds it, and is released when that process ends."""

import errno
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from genrev_cli.errors import FileError, UsageError

try:
    import fcntl
except ImportError:  # Windows has no such locks, so two runs of one target are not prevented there
    fcntl = None  # type: ignore[assignment]  # a module that does not exist

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Errors of file systems without locks; two runs of one target are not prevented there either."""

_PAUSE = 0.02
"""Seconds between two attempts to get a lock."""


@contextmanager
def locked(path: Path, target: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file at `path` while the block writes `target`; the lock's folder is created.

    wait: wait for another process that holds it, for locks that are held for moments only.

    The operating system releases the lock when the process ends, so a killed run never blocks the next one. If the file system locks
    across machines, runs on other machines are excluded too.

    Raises UsageError, naming process and machine, if another process holds the lock, FileError if the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquired(path, target) if not wait else _waited_for(path, target)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        yield
    finally:
        _release(path, descriptor)


def _release(path: Path, descriptor: int) -> None:
    with suppress(OSError):  # the disk may be gone; a lock file that stays is taken over by the next run
        path.unlink(missing_ok=True)  # before the lock is released, so that no other process locks a file that is then removed
    os.close(descriptor)
    with suppress(OSError):
        path.parent.rmdir()  # only if it is empty


def _waited_for(path: Path, target: Path) -> int:
    """Return the descriptor of the open, locked file as soon as no other process holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)  # its holder may have removed the folder
        with suppress(UsageError, FileNotFoundError):
            return _acquired(path, target)
        time.sleep(_PAUSE)


def _acquired(path: Path, target: Path) -> int:
    """Return the descriptor of the open, locked file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(os.read(descriptor, 4096))
            os.close(descriptor)
            raise UsageError(f"{target}: {owner} is writing it; wait for that run, stop it, or choose another --out") from None
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


def _owner(content: bytes) -> str:
    try:
        owner = json.loads(content)
        return f"process {owner['pid']} on {owner['host']} (since {owner['since']})"
    except (ValueError, KeyError, TypeError):  # the holder has not written its name yet
        return "another process"
