"""Check targets before a stage writes them: it replaces what it made itself from the same files, and nothing else."""

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.any import read_any_header
from genrev_cli.files.checkpoint_header import require_text


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


def require_remake(
    out: Path, inputs: Mapping[str, Mapping[str, Any]], roles: Iterable[str] = (), *, shows: str = "", force: bool, option: str = "--out"
) -> None:
    """Raise FileError if `out` exists and was made from other files than `inputs`, the records of its new header, unless `force`.

    A file is the same if its path or its content is, so a page can be made again after a longer training, or in a moved folder.
    roles: those to compare, and both files must have the same; () allows further inputs, as for a page to which a file was added.
    shows: the first word of what a picture shows; another picture of the same files is not replaced either.
    """
    if force or not out.exists():
        return
    old = read_any_header(out)
    cure = f"choose another {option}, or pass --force to replace it"
    before = str(old.config.get("shows", ""))
    if shows and before and not before.startswith(shows):
        raise FileError(f"{out}: shows {before.partition(':')[0]}, not {shows}; {cure}")
    for role, record in old.inputs.items() if not roles else ((role, old.inputs.get(role)) for role in roles):
        candidates = [inputs.get(role)] if roles else list(inputs.values())
        if role == "data" and record is None:
            continue  # a picture of single files, which had no need of the data
        if not any(_same(record, candidate) for candidate in candidates):
            was = record["path"] if record else f"the {'prior' if role == 'sampler' else 'same files'}"
            raise FileError(f"{out}: was made from {was}, and would be replaced by another {old.kind}; {cure}")


def _same(record: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Return True if two records, or two missing ones, are of the same file."""
    if record is None or other is None:
        return record is other
    return record["path"] == other["path"] or record["sha256"] == other["sha256"]


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
