"""A target exists whole or not at all: write beside it, flush to the disk, rename."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genrev_cli.errors import FileError

_SUFFIX = ".genrev-part"

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


def _drop_orphans(target: Path) -> None:
    """Remove what killed writers of this target left behind; a folder that was moved away and not yet replaced comes back."""
    for part in target.parent.glob(f".*{_SUFFIX}"):
        name, _, pid = part.name.removesuffix(_SUFFIX).rpartition(".")
        if name not in (f".{target.name}", f".{target.name}.old") or not pid.isdigit() or _alive(int(pid)):
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
    part = target.with_name(f".{target.name}.{os.getpid()}{_SUFFIX}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _drop_orphans(target)
        _remove(part)
        yield part
        for file in [part, *part.rglob("*")] if part.is_dir() else [part]:
            _sync(file)
        if part.is_file():  # safetensors writes for its owner alone
            part.chmod(0o666 & ~_UMASK)
        if target.is_dir():  # os.replace cannot put one folder in the place of another that has files
            old = target.with_name(f".{target.name}.old.{os.getpid()}{_SUFFIX}")
            os.replace(target, old)
            try:
                os.replace(part, target)
            except OSError:
                os.replace(old, target)
                raise
            shutil.rmtree(old)
        else:
            os.replace(part, target)
        _sync(target.parent)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        _remove(part)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as part:
        part.write_text(text, encoding="utf-8")
