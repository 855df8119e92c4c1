"""Zip archives of one entry with any stream, compression method and stated size."""

import bz2
import struct
import zipfile
import zlib
from pathlib import Path


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def bzip2(start: bytes, size: int) -> bytes:
    packer, block = bz2.BZ2Compressor(9), bytes(1 << 24)
    return b"".join([packer.compress(start), *(packer.compress(block) for _ in range(size // len(block))), packer.flush()])


def packed(path: Path, name: str, method: int, stream: bytes, size: int) -> None:
    """Write the archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, stream)
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[8:10] = content[directory + 10 : directory + 12] = struct.pack("<H", method)
    content[22:26] = content[directory + 24 : directory + 28] = struct.pack("<I", size)
    path.write_bytes(content)
