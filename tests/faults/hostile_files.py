"""Archives, images and texts that are made to do harm: each function writes one at a path, or returns a function that does."""

import functools
import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import hostile_packing as packing
from hostile_arrays import header
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from genrev_cli.files.header import Header
from genrev_cli.files.pictures import json_digest, write_json


def zip_with(**files: bytes):
    """Return a function that writes a zip of `files`."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)

    return write


def zip_version(path: Path) -> None:
    """Write a zip whose directory says that version 9.9 made it."""
    zip_with(**{"a.png": b""})(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)


def zip_name(path: Path) -> None:
    """Write a zip with an entry's name that is marked as UTF-8 and is not."""
    zip_with(**{"\xe4.png": b""})(path)
    path.write_bytes(path.read_bytes().replace("\xe4".encode(), b"\xff\xff"))


def zip_nameless(path: Path) -> None:
    """Write a zip with an entry without a name."""
    zip_with(**{"a.png": b""})(path)
    path.write_bytes(path.read_bytes().replace(b"a.png", b"\0.png"))


def zip_bzip2(path: Path) -> None:
    """Write a zip with an image of 16 megabytes in 50 bytes, which claims to be small."""
    packing.packed(path, "a.png", zipfile.ZIP_BZIP2, packing.bzip2(b"", 1 << 24), 1000)


def zip_link(path: Path) -> None:
    """Write a zip with an entry that is a symbolic link to another file."""
    link = zipfile.ZipInfo("a.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")


@functools.cache
def image(size: tuple[int, int], kind: str = "PNG", mode: str = "L", info: PngInfo | None = None) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **({"pnginfo": info} if info else {}))
    return file.getvalue()


def folder_with(name: str, make):
    """Return a function that makes a folder with one file, written by `make`."""

    def write(path: Path) -> None:
        path.mkdir()
        make(path / name)

    return write


def pipe(path: Path) -> None:
    """Make a pipe, from which reading would block."""
    os.mkfifo(path)


def endless(path: Path) -> None:
    """Make a link to a device that never ends."""
    path.symlink_to("/dev/zero")


def png_large(path: Path) -> None:
    """Write a small PNG that claims 60000 × 60000 pixels."""
    content = bytearray(image((8, 8)))
    content[16:24] = struct.pack(">II", 60000, 60000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def png_wide(path: Path) -> None:
    """Write a PNG of 6 kB with 51 million pixels."""
    path.write_bytes(image((7168, 7168), mode="1"))


def png_huge(path: Path) -> None:
    """Write a PNG of 50 kB with 408 million pixels."""
    path.write_bytes(image((20200, 20200), mode="1"))


def png_text(path: Path) -> None:
    """Write a PNG with a header of ten megabytes in ten kilobytes."""
    info = PngInfo()
    info.add_itxt("genrev", "x" * 10_000_000, zip=True)
    path.write_bytes(image((8, 8), info=info))


def png_palette(path: Path) -> None:
    """Write a PNG with a palette, which genrev does not write."""
    info = PngInfo()
    info.add_itxt("genrev", header("picture", {}))
    path.write_bytes(image((8, 8), mode="P", info=info))


def text(content: str | bytes):
    def write(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def score(genrev: str, result: str = '"fid": 1'):
    return text(f'{{{result}, "genrev": {genrev}}}')


def odd_score(sha256: str = "", **entries):
    """Return a function that writes a score with some wrong entries; sha256: replaces the correct digest."""
    result = {"metric": "FID", "value": 1.5, "n": 9, "n_reference": 9, **entries}
    return lambda path: write_json(path, result, Header("score", {}, sha256 or json_digest(result)))


def nested(depth: int) -> str:
    """Return a header whose inputs are nested `depth` times."""
    inner: dict = {"path": "a", "kind": "data", "sha256": ""}
    for _ in range(depth):
        inner = {"path": "a", "kind": "data", "sha256": "", "inputs": {"a": inner}}
    return json.dumps({"kind": "score", "config": {}, "sha256": "", "inputs": {"a": inner}})
