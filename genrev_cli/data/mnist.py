"""MNIST (LeCun, Bottou, Bengio & Haffner 1998) from its four IDX files, compressed (.gz) or not."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from genrev_cli.data.checksum import require_md5
from genrev_cli.data.config import Entry
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "http://yann.lecun.com/exdb/mnist"

MD5 = {  # of the .gz file (from torchvision.datasets.MNIST) and of the file in it
    "train-images-idx3-ubyte": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}
_UNSIGNED_BYTE = 8  # IDX's code for the type of the values
_MAX_BYTES = 1 << 26  # the largest of the four files has 47 MB


def open_mnist(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the 60,000 training and 10,000 test images, 1×28×28.

    Raises FileError if a file is missing, damaged, or not the published one.
    """
    folder = _folder(config.root)
    arrays, sums = {}, {}
    for name in MD5:
        data, sums[name] = _read(folder, name)
        arrays[name] = read_idx(data, str(folder / name))
    images = [arrays["train-images-idx3-ubyte"], arrays["t10k-images-idx3-ubyte"]]
    return array_source(
        name="mnist",
        size=config.dimensions,
        limit=config.limit,
        parts=[part[:, None] for part in images],
        labels=np.concatenate([arrays["train-labels-idx1-ubyte"], arrays["t10k-labels-idx1-ubyte"]]),
        split=np.repeat([TRAIN, TEST], [len(part) for part in images]),
        split_rule="as published",
        classes=tuple(map(str, range(10))),
        sums=sums,
    )


def read_idx(data: bytes, where: str) -> np.ndarray:
    """Return the uint8 array in an IDX file: two zero bytes, the type, the number of axes, each axis as a big-endian int32, the values.

    Raises FileError, naming `where`, if the size of `data` does not match.
    """
    if len(data) < 4 or data[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise FileError(f"{where}: not an IDX file of bytes: its first bytes are {data[:4].hex(' ') or 'missing'}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise FileError(f"{where}: truncated inside its header")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise FileError(f"{where}: damaged: its header claims {math.prod(shape)} bytes for shape {shape}, but it has {len(data) - start}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _folder(root: Path) -> Path:
    for folder in (root, root / "MNIST" / "raw"):  # torchvision stores them in the second
        if any((folder / f"{name}{suffix}").is_file() for name in MD5 for suffix in ("", ".gz")):
            return folder
    raise FileError(f"{root}: has no MNIST files (train-images-idx3-ubyte.gz …); pass --download, or get them from {PAGE}")


def _read(folder: Path, name: str) -> tuple[bytes, str]:
    """Return the uncompressed content of a file, and the md5 that the file was checked against."""
    packed, plain = folder / f"{name}.gz", folder / name
    path, md5 = (packed, MD5[name][0]) if packed.is_file() else (plain, MD5[name][1])
    if not path.is_file():
        raise FileError(f"{packed}: missing (and so is {name}); pass --download, or get it from {PAGE}")
    try:
        data = _at_most(path, _MAX_BYTES)
        require_md5(data, md5, str(path))
        return (gzip.decompress(data) if path is packed else data), md5
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: cannot be read ({error})") from error


def _at_most(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


SOURCE = Entry("mnist", open_mnist, ("path", "size", "download"))
