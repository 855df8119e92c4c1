"""CelebA's aligned faces (Liu, Luo, Wang & Tang 2015): img_align_celeba/000001.jpg … 202599.jpg, 178×218, in a folder or a zip."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, Folder, image_names, open_container
from genrev_cli.data.decode import FileSource
from genrev_cli.data.transform import BOX, WHOLE, Size, Transform, largest_within
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
PARTITION = "list_eval_partition.txt"

_MAX_PARTITION = 1 << 24  # bytes; the published file has 2.8 MB

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
    """Return the aligned faces in the order of their numbers, with the official split.

    Raises FileError if there are none, a number occurs twice, or the partition file is invalid or lacks an image.
    """
    container = _container(config.root)
    images, _ = image_names(container)
    names = sorted((name for name in images if re.search(r"(^|/)\d{6}\.jpg$", name)), key=number)
    numbers = np.array([number(name) for name in names], np.int64)
    if not names:
        raise FileError(f"{container.path}: has no 000001.jpg … 202599.jpg, so it is not CelebA; for other images use 'folder'")
    twice = np.flatnonzero(numbers[1:] == numbers[:-1])
    if len(twice):
        first, second = names[twice[0]], names[twice[0] + 1]
        raise FileError(f"{container.path}: has both {first} and {second}; pass the folder img_align_celeba only")
    partition = _partition(container)
    split = split_by_number(numbers) if partition is None else _look_up(partition, names)
    transform = faces(config.crop, result_size(config.crop, config.sides))
    end = config.limit or len(names)
    return FileSource(
        name="celeba",
        image_shape=(3, *(transform.size or FACE)[::-1]),
        transform=transform,
        labels=np.full(len(names), -1, np.int64)[:end],
        split=split[:end],
        split_rule="official, by file number" if partition is None else f"official, from {PARTITION}",
        container=container,
        names=names[:end],
        workers=config.workers,
    )


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


def parse_partition(text: str, where: str) -> dict[int, int]:
    """Return file number → 0, 1 or 2 from lines like '000001.jpg 0'.

    Raises FileError, naming `where`, for any other line.
    """
    found = {}
    for count, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"(\d{6})\.jpg\s+([012])\s*", line)
        if match:
            found[int(match[1])] = int(match[2])
        elif line.strip():
            raise FileError(f"{where}: line {count} does not look like '000001.jpg 0'; get the file again from {PAGE}")
    return found


def _look_up(partition: dict[int, int], names: Sequence[str]) -> np.ndarray:
    for name in names:
        if number(name) not in partition:
            raise FileError(f"{PARTITION}: lacks {name}; get the whole file from {PAGE}, or remove it to split by file number")
    return np.array([partition[number(name)] for name in names], np.uint8)


def _container(root: Path) -> Container:
    """Open the images: a folder, a zip, or a folder with the downloaded img_align_celeba.zip."""
    packed = root / "img_align_celeba.zip"
    missing = f"pass --download, or get img_align_celeba.zip and {PARTITION} from {PAGE}"
    return open_container(packed if packed.is_file() and not (root / "img_align_celeba").is_dir() else root, missing)


def _partition(container: Container) -> dict[int, int] | None:
    """Read the partition file, which is inside the images' folder or zip or beside it. Return None if there is none."""
    inside = next((name for name in container.names() if PurePosixPath(name).name == PARTITION), None)
    beside = Folder(container.path.resolve().parent)
    if inside is None and not (beside.path / PARTITION).is_file():
        return None
    place, name = (beside, PARTITION) if inside is None else (container, inside)
    try:
        with place.reader() as read:
            data = read(name)
    except BROKEN_ZIP as error:
        raise FileError(f"{PARTITION}: cannot be read ({error})") from error
    if len(data) > _MAX_PARTITION:
        raise FileError(f"{place.where(name)}: is larger than CelebA's; get the file again from {PAGE}")
    return parse_partition(data.decode("ascii", "replace"), place.where(name))


SOURCE = Entry("celeba", open_celeba, ("path", "size", "download", "crop"))
