"""Zip archives from any program: the sizes that they state are not trusted."""

import struct
import zipfile
import zlib

BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError, OverflowError, IndexError, struct.error)
"""Exceptions of zipfile and zlib for a broken archive: RuntimeError for an encrypted entry or an unknown compression method, IndexError for
an entry without a name."""

_RATIO = 1032  # deflate's largest compression ratio
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def require_plausible(entry: zipfile.ZipInfo) -> None:
    """Raise ValueError unless the unpacked size of an entry is in proportion to its packed size.

    Only stored and deflated entries pass. bzip2 can expand one byte to a million, and zipfile does not stop at the stated size.
    """
    if entry.compress_type not in _METHODS:
        method = getattr(zipfile, "compressor_names", {}).get(entry.compress_type, entry.compress_type)
        raise ValueError(f"compressed with {method}, which is not supported; pack it again with deflate")
    if entry.file_size > _RATIO * entry.compress_size:
        raise ValueError(f"{entry.compress_size} compressed bytes cannot become {entry.file_size} bytes")
