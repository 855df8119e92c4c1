"""Temporary files beside a target: their names, the lock that shows that their writer lives, and what killed writers have left.

A process number alone does not tell whether a writer lives: two containers on one disk may have the same host name and other processes.
A lock alone does not either: NFS drops it when any descriptor of the file is closed. What is left behind has neither. What another machine
left stays: this one does not see its processes, and a date decides nothing.
"""

import hashlib
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the process number decides
    fcntl = None  # type: ignore[assignment]  # a module that does not exist

_SUFFIX = ".genrev-part"
_LONGEST = 100  # bytes; a longer target name is hashed, because the temporary name is longer still and names have a limit
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

_writing: set[str] = set()
"""Names of the parts that this process writes now. A restarted container has the process number of the one that was killed, often 1."""


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):  # False, without an error, for an impossible path: a file as its folder, a name too long
        path.unlink()


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and flush each new one's name to the disk."""
    above, new = folder, []
    while not os.path.lexists(above):
        new.append(above)
        above = above.parent
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(new):
        with suppress(OSError):  # some file systems cannot flush a folder
            sync(path.parent)


def _here() -> str:
    """Return a short id of this machine."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _stem(target: Path) -> str:
    name = os.fsencode(target.name)
    return f".{target.name}" if len(name) <= _LONGEST else f".{hashlib.sha256(name).hexdigest()[:32]}"


def beside(target: Path, mark: str = "") -> Path:
    """Return a new temporary path for the target, or with mark '.old' for the folder that it replaces."""
    return target.with_name(f"{_stem(target)}{mark}.{os.getpid()}-{_here()}-{secrets.token_hex(4)}{_SUFFIX}")


def hold(path: Path, *, wait: bool = False, shared: bool = False) -> int | None:
    """Open a file or folder and lock it; None if another process holds it (unless `wait`), or if it cannot be locked here.

    shared: let others lock it as shared too, as HDF5's library does to read a file.
    """
    if not fcntl:
        return None
    with suppress(OSError):
        descriptor = os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | _NO_LINK)  # NFS locks only what is open to be written
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
            os.close(descriptor)  # it was removed before it was locked
        except OSError:
            os.close(descriptor)
            raise
    return None


@contextmanager
def held(target: Path, *, folder: bool, mode: int | None) -> Iterator[Path]:
    """Yield a new empty file or folder beside the target, locked as long as this process lives and the block lasts; remove it at the end.

    mode: its permissions; None leaves them to the umask.
    """
    while True:
        part = beside(target)
        _writing.add(part.name)
        if folder:
            part.mkdir()
        else:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_LINK, 0o666))
        # Another writer holds it for a moment when it looks at it. Shared: it is still locked when it has become the target, for readers.
        descriptor = hold(part, wait=True, shared=True)
        if descriptor is not None or part.exists():  # else another writer took it for left behind
            break
    try:
        if mode is not None:
            with suppress(PermissionError):  # some disks have no file modes
                part.chmod(mode)
        yield part
    finally:
        with suppress(OSError):  # the disk may be gone
            remove(part)
        if descriptor is not None:
            os.close(descriptor)
        _writing.discard(part.name)


def drop_orphans(target: Path) -> None:
    """Remove what killed writers of this target left; restore a folder that was moved away and not yet replaced."""
    stem = _stem(target)
    for part in target.parent.glob(f".*{_SUFFIX}"):
        name, _, owner = part.name.removesuffix(_SUFFIX).rpartition(".")
        if name not in (stem, f"{stem}.old"):
            continue
        with _abandoned(part, owner) as abandoned:
            if abandoned and name.endswith(".old") and not target.exists():
                os.replace(part, target)
            elif abandoned:
                remove(part)


def drop_unlocked(folder: Path) -> None:
    """Remove all temporary files in a folder that nobody has locked, those of other machines too.

    Only for who holds a lock that keeps all other writers off the folder. Where files cannot be locked, nothing is removed.
    """
    for part in folder.glob(f".*{_SUFFIX}"):
        descriptor = hold(part)
        if descriptor is not None:
            remove(part)
            os.close(descriptor)


@contextmanager
def _abandoned(part: Path, owner: str) -> Iterator[bool]:
    """Yield True if the writer of a temporary file is dead. owner: the part of its name after the target's."""
    pid, _, rest = owner.partition("-")  # earlier versions stored no machine, and then no random number
    machine, _, number = rest.partition("-")
    descriptor = hold(part) if number else None
    here = machine in ("", _here()) and pid.isdigit()
    try:
        if here and number and int(pid) == os.getpid():
            yield descriptor is not None and part.name not in _writing
        else:
            yield here and not _alive(int(pid)) and (descriptor is not None or not (number and _locks_work(part)))
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locks_work(part: Path) -> bool:
    """Return True if a file can be locked on the disk of `part`, unless another process holds it."""
    if not fcntl:
        return False
    try:
        descriptor = os.open(part, (os.O_RDONLY if part.is_dir() else os.O_RDWR) | _NO_LINK)
    except OSError:
        return True  # it is gone, or of another user
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # another user's process, or no process number
    return True
