"""MNIST (LeCun, Bottou, Bengio & Haffner 1998) from its four IDX files, under any of the names that they are published with."""

import numpy as np

from genrev_cli.data.arrays import PixelRows
from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, open_container
from genrev_cli.data.idx_files import IdxFile, Named, find_idx, open_idx
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "http://yann.lecun.com/exdb/mnist"

MD5 = {  # of the .gz file (from torchvision.datasets.MNIST) and of the file in it, by which it is known
    "train-images-idx3-ubyte": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}
_OTHERS = "for Fashion-MNIST use 'fashion-mnist', for KMNIST 'kmnist', for any other set 'idx'"


def open_mnist(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the 60,000 training and 10,000 test images, 1×28×28.

    Raises FileError if a file is missing, damaged, or its content is not the published one.
    """
    get = f"pass --download, or get it from {PAGE}"
    container = open_container(config.root, f"pass --download, or get train-images-idx3-ubyte.gz … from {PAGE}")
    named = find_idx(container)
    if not named:
        raise FileError(f"{config.root}: has no MNIST files (train-images-idx3-ubyte.gz …); pass --download, or get them from {PAGE}")
    files = {name: _published(container, named, name, get) for name in MD5}
    images = [PixelRows(files[f"{part}-images-idx3-ubyte"].rows, None, "mnist") for part in ("train", "t10k")]
    labels = [files[f"{part}-labels-idx1-ubyte"].rows for part in ("train", "t10k")]
    return array_source(
        name="mnist",
        size=config.dimensions,
        limit=config.limit,
        parts=images,
        labels=np.concatenate([part[0 : part.shape[0]] for part in labels]),
        split=np.repeat([TRAIN, TEST], [part.shape[0] for part in images]),
        split_rule="as published",
        classes=tuple(map(str, range(10))),
        sums={name: MD5[name][file.md5 == file.packed_md5] for name, file in files.items()},  # of the .gz for compressed files
    )


def _published(container: Container, named: list[Named], name: str, get: str) -> IdxFile:
    """Return the file whose content is the published one, among those whose names say the same part and kind."""
    part, kind = (TRAIN if name.startswith("train") else TEST), ("images" if "images" in name else "labels")
    candidates = [open_idx(container, one.name) for one in named if (one.part, one.kind) == (part, kind)]
    if not candidates:
        raise FileError(f"{container.where(f'{name}.gz')}: missing (and so is {name}); {get}")
    found = next((file for file in candidates if file.md5 == MD5[name][1]), None)
    if found is None:
        raise FileError(f"{candidates[0].where}: not the published file of MNIST (md5 of its content {candidates[0].md5}); {_OTHERS}")
    return found


SOURCE = Entry("mnist", open_mnist, ("path", "size", "download"))
