"""One run for one target: a lock that its holder's death releases, and that says who holds it."""

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from genrev_cli.errors import FileError, UsageError

try:
    import fcntl
except ImportError:  # Windows has no such locks; runs are not kept apart there
    fcntl = None

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What file systems say that have no locks; runs are not kept apart there either."""


@contextmanager
def locked(path: Path, target: Path) -> Iterator[None]:
    """Hold the lock file at `path` within the block, for whoever writes `target`; its folder is made.

    The operating system holds the lock for as long as the process lives, so what a killed run left behind is taken over. Where the file
    system has locks across machines, runs on other machines are kept out too.
    Raises UsageError, naming the process and the machine, when another one holds it, FileError when the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquired(path, target)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        yield
    finally:
        _release(path, descriptor)


def _release(path: Path, descriptor: int) -> None:
    with suppress(OSError):  # a disk that is gone keeps it, and the next run takes it over
        path.unlink(missing_ok=True)  # before it is released, so that nobody gets a lock that is about to go
    os.close(descriptor)
    with suppress(OSError):
        path.parent.rmdir()  # if nothing came into it


def _acquired(path: Path, target: Path) -> int:
    """The open, locked file."""
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
        os.close(descriptor)  # its holder removed it between our opening and locking it
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
    except (ValueError, KeyError, TypeError):  # it has locked the file and not written yet
        return "another process"
