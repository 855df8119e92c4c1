"""CelebA's aligned faces (Liu, Luo, Wang & Tang 2015): img_align_celeba/000001.jpg … 202599.jpg, 178×218, in a folder or a zip.

The layouts of the authors, of Kaggle and of torchvision are read, and the release as PNG. `celeba_lists` reads the files beside the images.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from genrev_cli.data.celeba_lists import PAGE, PARTITION, Lists, Partition, attributes_of, partition_of
from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, image_names, open_container
from genrev_cli.data.decode import FileSource
from genrev_cli.data.transform import BOX, WHOLE, Size, Transform, largest_within
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_PACKED = ("img_align_celeba.zip", "celeba/img_align_celeba.zip", "img_align_celeba_png.zip", "Img/img_align_celeba.zip", "archive.zip")
"""Places of the zip in a folder: the download, torchvision's, the release as PNG, the authors' folder, Kaggle's download."""

FACE = (178, 218)
"""Width and height of an aligned face."""
_LAST = (162_770, 182_637, 202_599)
"""Number of the last file of the official train, val and test split."""


def faces(crop: str, size: Size | None) -> Transform:
    """Return the transform of a crop.

    140: as in WAE (github.com/tolstikhin/wae, datahandler.py, 'closecrop'), which Schirrmeister et al. 2018, section 3.1, use.
    108: as in DCGAN's public code and Zhang et al. 2020 (github.com/zj10/PGA, src/utils.py).
    none: the whole image. With --size 128 it becomes 128×156, as Nguyen, Ardizzone & Köthe 2019 have it
    (github.com/Xenovortex/Training-Invertible-Neural-Networks-as-Autoencoders, legacy_code/architecture/INN.py).
    """
    if crop == "none":
        return Transform(channels=3, size=size or FACE, crop=WHOLE, source=FACE)
    filters, side, size = {"140": "lanczos", "108": "bicubic"}, int(crop), size or (64, 64)
    return Transform(channels=3, size=size, crop=BOX, box=largest_within((side, side), size), source=FACE, filter=filters[crop])


def result_size(crop: str, sides: tuple[int, ...]) -> Size | None:
    """Return the size that --size asks for: both sides, or one, which is the shorter side for crop 'none'. None if it asks for none."""
    if len(sides) == 1:
        return sides[0], FACE[1] * sides[0] // FACE[0] if crop == "none" else sides[0]
    return (sides[0], sides[1]) if sides else None


def open_celeba(config: PrepareConfig, progress: Progress) -> FileSource:
    """Return the aligned faces in the order of their numbers, with the official split and the 40 attributes where their list is.

    Raises FileError if there are none, a number occurs twice, or a list is invalid; a partition that lacks an image is invalid.
    """
    container = _container(config.root)
    images, _ = image_names(container)
    names = sorted((name for name in images if _FACE_FILE.search(name)), key=number)
    numbers = np.array([number(name) for name in names], np.int64)
    if not names:
        raise FileError(f"{container.path}: has no 000001.jpg … 202599.jpg, so it is not CelebA; for other images use 'folder'")
    twice = np.flatnonzero(numbers[1:] == numbers[:-1])
    if len(twice):
        first, second = names[twice[0]], names[twice[0] + 1]
        raise FileError(f"{container.path}: has both {first} and {second}; pass the folder img_align_celeba only")
    lists = Lists(container, config.root)
    partition = partition_of(lists, split_by_number, progress)
    split = split_by_number(numbers) if partition is None else _look_up(partition.splits, partition.name, names)
    flags = None if config.no_attributes else attributes_of(lists, numbers, progress)
    transform = faces(config.crop, result_size(config.crop, config.sides))
    end = config.limit or len(names)
    return FileSource(
        name="celeba",
        image_shape=(3, *(transform.size or FACE)[::-1]),
        transform=transform,
        labels=np.full(len(names), -1, np.int64)[:end],
        split=split[:end],
        split_rule=_rule(partition),
        attributes=flags.values[:end] if flags else None,
        attribute_names=flags.names if flags else (),
        release=_release(names),
        container=container,
        names=names[:end],
        workers=config.workers,
    )


_FACE_FILE = re.compile(r"(^|/)\d{6}\.(jpe?g|png)$", re.I)


def number(name: str) -> int:
    """Return the number of a file: 123 for 'img_align_celeba/000123.jpg'."""
    return int(PurePosixPath(name).stem)


def split_by_number(numbers: np.ndarray) -> np.ndarray:
    """Return the official split of file numbers, (n,) uint8: 1 … 162770 train, … 182637 val, … 202599 test.

    Raises FileError for other numbers.
    """
    if numbers.min() < 1 or numbers.max() > _LAST[-1]:
        found = f"{numbers.min()} … {numbers.max()}"
        raise FileError(f"CelebA's images have numbers 1 … {_LAST[-1]}, but these have {found}; for other images use 'folder'")
    return np.searchsorted(_LAST, numbers).astype(np.uint8)


def _look_up(partition: dict[int, int], file: str, names: Sequence[str]) -> np.ndarray:
    for name in names:
        if number(name) not in partition:
            raise FileError(f"{file}: lacks {name}; get the whole file from {PAGE}, or remove it to split by file number")
    return np.array([partition[number(name)] for name in names], np.uint8)


def _rule(partition: Partition | None) -> str:
    if partition is None:
        return "official, by file number"
    return f"official, from {partition.name}" if partition.official else f"from {partition.name}, which is not the official one"


def _release(names: Sequence[str]) -> str:
    """Return 'img_align_celeba_png' for the release as PNG, whose pixels differ from the JPEGs'; '' for the usual one."""
    png = sum(name.lower().endswith(".png") for name in names)
    if 0 < png < len(names):
        raise FileError(f"CelebA: has {png:,} PNG and {len(names) - png:,} JPEG files; pass a folder with one of the releases")
    return "img_align_celeba_png" if png else ""


def _container(root: Path) -> Container:
    """Open the images: a folder, a zip, or a folder with the downloaded zip and without unpacked images."""
    missing = f"pass --download, or get img_align_celeba.zip and {PARTITION} from {PAGE}"
    packed = next((root / place for place in _PACKED if (root / place).is_file()), None)
    unpacked = packed and any((packed.parent / folder).is_dir() for folder in ("img_align_celeba", "img_align_celeba_png"))
    return open_container(packed if packed and not unpacked else root, missing)


SOURCE = Entry("celeba", open_celeba, ("path", "size", "download", "crop", "no_attributes"))
