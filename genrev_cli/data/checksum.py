"""Published files are read only when they are, bit for bit, the published ones."""

import hashlib

from genrev_cli.errors import FileError


def require_md5(data: bytes, md5: str, where: str) -> None:
    """Raise FileError unless `data`, read from `where`, has this md5."""
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise FileError(f"{where}: not the published file, or damaged (md5 {found}, not {md5}); fetch it again, e.g. with --download")
