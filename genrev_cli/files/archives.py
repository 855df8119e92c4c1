"""Zip archives, whoever made them: what one says of itself is not believed."""

import struct
import zipfile
import zlib

BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError, OverflowError, IndexError, struct.error)
"""What zipfile and zlib raise of broken bytes: RuntimeError of an entry that is encrypted or packed by an unknown method, IndexError of
one without a name."""

_RATIO = 1032  # the most that deflate makes of one byte
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def require_plausible(entry: zipfile.ZipInfo) -> None:
    """Raise ValueError unless an entry can be unpacked in memory that is in proportion to the archive.

    bzip2 makes a million bytes of one, and zipfile cannot stop it at the size that it was told; no program packs by it unasked.
    """
    if entry.compress_type not in _METHODS:
        method = zipfile.compressor_names.get(entry.compress_type, entry.compress_type)
        raise ValueError(f"packed by {method}, which is not supported; pack it again by deflate")
    if entry.file_size > _RATIO * entry.compress_size:
        raise ValueError(f"{entry.compress_size} bytes that are to become {entry.file_size}, which they cannot")
