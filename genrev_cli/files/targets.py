"""What may be written where: a stage replaces what it made itself, and nothing else."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.any import read_any_header
from genrev_cli.files.checkpoint import require_text


def check_target(out: Path, kind: str, suffixes: Iterable[str], inputs: Iterable[Path], *, option: str = "--out") -> None:
    """Refuse a target whose name does not say what it is ('' among the suffixes is a folder), an input, or what is not of `kind`.

    option: the one that named the target. Raises UsageError for the first two, FileError for the third, and where nothing can be written.
    """
    suffixes = tuple(suffixes)
    if out.suffix.lower() not in suffixes:
        names = " or ".join(suffix or "nothing (a folder)" for suffix in suffixes)
        raise UsageError(f"{option} {out}: its name must end in {names}")
    if any(os.path.realpath(out) == os.path.realpath(path) for path in inputs):  # Path.resolve raises RuntimeError for links in a circle
        raise UsageError(f"{option} {out}: is an input of the same command, which it would replace; choose another")
    if out.suffix.lower() == ".safetensors":
        require_text(out)
    require_writable(out, f"choose another {option}")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    foreign = FileError(f"{out}: exists and is not a file of kind '{kind}' that genrev made; choose another {option}, or remove it")
    try:
        header = read_any_header(out)
    except FileError as error:
        raise foreign from error
    if header.kind != kind:
        raise foreign


def require_writable(out: Path, cure: str) -> None:
    """Raise FileError unless a file can be made where `out` leads to; asked before any work is done, and without making one."""
    real = Path(os.path.realpath(out))
    if real.is_symlink():  # what it leads to is itself
        raise FileError(f"{out}: cannot be written: {os.strerror(errno.ELOOP)}; {cure}")
    folder = real.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise FileError(f"{out}: cannot be written: {folder} is no folder; {cure}")
    if not os.access(folder, os.W_OK | os.X_OK):
        reason = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise FileError(f"{out}: cannot be written: {os.strerror(reason)}; {cure}")
