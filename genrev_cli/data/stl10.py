"""STL-10 (Coates, Lee & Ng 2011) from its binary files: 5,000 training and 8,000 test images, 3×96×96, and 100,000 without labels."""

import hashlib

import numpy as np

from genrev_cli.data.arrays import PixelRows
from genrev_cli.data.checksum import require_md5_sum
from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, Folder
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.data.tar import open_tar
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP
from genrev_cli.files.rows import StreamedRows
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "https://cs.stanford.edu/~acoates/stl10"
FOLDER, TAR = "stl10_binary", "stl10_binary.tar.gz"
TAR_MD5 = "91f7769df0f17e558f3565bffb0c7dfb"  # for the download; the files in it are compared with those below
MD5 = {  # from torchvision.datasets.STL10
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
    "unlabeled_X.bin": "5242ba1fed5e4be9e1e742405eb56ca4",
}
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
"""The lines of class_names.txt; the labels in the files are 1 … 10."""
_SHAPE = (3, 96, 96)
"""Stored by columns: channels, columns, rows."""
_BLOCK = 1 << 20


def open_stl10(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the training and test images, with --unlabeled also the images without labels, in the train split.

    Raises FileError if a file is missing, damaged, or not the published one.
    """
    parts = ["train", "test", *(["unlabeled"] if config.unlabeled else [])]
    wanted = [name for name in MD5 if name.partition("_")[0] in parts]
    container, places = _find(config, wanted)
    for name in wanted:
        require_md5_sum(_md5(container, places[name]), MD5[name], container.where(places[name]))
    images = [_images(container, places[f"{part}_X.bin"]) for part in parts]
    counts = [part.shape[0] for part in images]
    labels = [_labels(container, places.get(f"{part}_y.bin"), n) for part, n in zip(parts, counts, strict=True)]
    return array_source(
        name="stl10",
        size=config.dimensions,
        limit=config.limit,
        parts=images,
        labels=np.concatenate(labels),
        split=np.repeat([TEST if part == "test" else TRAIN for part in parts], counts),
        split_rule="as published",
        classes=CLASSES,
        sums={name: MD5[name] for name in wanted},
    )


def _find(config: PrepareConfig, wanted: list[str]) -> tuple[Container, dict[str, str]]:
    """Return the folder or tar that has the files, and where each is in it."""
    tar = next((path for path in (config.root, config.root / TAR) if path.is_file()), None)
    folder = next((path for path in (config.root, config.root / FOLDER) if (path / "train_X.bin").is_file()), None)
    cure = f"pass --download, or get {TAR} from {PAGE}"
    if folder is None and tar is None:
        raise FileError(f"{config.root}: has neither {FOLDER}/ nor {TAR}; {cure}")
    container: Container = Folder(folder) if folder is not None else open_tar(tar or config.root)
    places = {name.rpartition("/")[2]: name for name in container.names()}
    missing = [name for name in wanted if name not in places]
    if missing:
        raise FileError(f"{container.path}: STL-10's {', '.join(missing)} are missing; {cure}")
    return container, {name: places[name] for name in wanted}


def _md5(container: Container, name: str) -> str:
    try:
        digest = hashlib.md5(usedforsecurity=False)
        with container.stream(name) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()
    except BROKEN_ZIP as error:
        raise FileError(f"{container.where(name)}: cannot be read ({error})") from error


def _images(container: Container, name: str) -> PixelRows:
    with container.stream(name) as file:
        n = file.seek(0, 2) // int(np.prod(_SHAPE))
    rows = StreamedRows((n, *_SHAPE), np.dtype(np.uint8), lambda: container.stream(name), container.where(name))
    return PixelRows(rows, None, container.where(name), turned=True)


def _labels(container: Container, name: str | None, n: int) -> np.ndarray:
    """Return the labels of n images, numbered from 0; −1 without a file. Raises FileError if it has another number of labels."""
    if name is None:
        return np.full(n, -1)
    with container.stream(name) as file:
        labels = np.frombuffer(file.read(_BLOCK), np.uint8).astype(np.int64) - 1
    if len(labels) != n:
        raise FileError(f"{container.where(name)}: has {len(labels)} labels for {n} images")
    return labels


SOURCE = Entry("stl10", open_stl10, ("path", "size", "download", "unlabeled"))
