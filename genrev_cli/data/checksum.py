"""Checksums of published files: a file with another checksum is refused."""

import hashlib
from pathlib import Path

from genrev_cli.errors import FileError


def require_md5(data: bytes, md5: str, where: str) -> None:
    """Raise FileError unless `data`, read from `where`, has this md5."""
    require_md5_sum(hashlib.md5(data, usedforsecurity=False).hexdigest(), md5, where)


def require_file_md5(path: Path, md5: str) -> None:
    """Raise FileError unless the file has this md5, OSError if it cannot be read."""
    with path.open("rb") as file:
        require_md5_sum(hashlib.file_digest(file, "md5").hexdigest(), md5, str(path))


def require_md5_sum(found: str, md5: str, where: str) -> None:
    """Raise FileError unless the md5 that was `found` is the published one."""
    if found != md5:
        raise FileError(f"{where}: not the published file, or damaged (md5 {found}, not {md5}); get it again, e.g. with --download")
