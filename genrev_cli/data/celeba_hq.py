"""CelebA-HQ (Karras, Aila, Laine & Lehtinen 2018): 30,000 faces 0.jpg … 29999.jpg, mostly 256×256 or 1024×1024.

Kaggle's celeba_hq_256 and CelebAMask-HQ's CelebA-HQ-img are read, with the attributes of CelebAMask-HQ-attribute-anno.txt if it is there.
"""

import re
from pathlib import PurePosixPath

import numpy as np

from genrev_cli.data.celeba_lists import Lists, attributes_of
from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, image_names, open_container
from genrev_cli.data.decode import FileSource
from genrev_cli.data.pixels import DamagedImage, probe
from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.data.tables import file_splits
from genrev_cli.data.transform import Size, Transform
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "https://github.com/switchablenorms/CelebAMask-HQ"
COUNT = 30_000
TEST_COUNT = 3000
"""The last so many numbers are the test split. This is ours: CelebA-HQ has no official split."""
SIDE = 256
_ATTRIBUTES = ("CelebAMask-HQ-attribute-anno.txt",)
_MASKS = re.compile(r"(^|/)CelebAMask-HQ-mask-anno/", re.I)
_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}


def open_celeba_hq(config: PrepareConfig, progress: Progress) -> FileSource:
    """Return the faces in the order of their numbers. All must be of the first one's size, which is resized to --size or 256×256.

    Raises FileError if there are none, a number is not CelebA-HQ's or occurs twice, or a list is invalid.
    """
    container = open_container(config.root, f"get CelebA-HQ-img from {PAGE}, or Kaggle's celeba_hq_256")
    images, _ = image_names(container)
    names = sorted((name for name in images if _number(name) >= 0 and not _MASKS.search(name)), key=_number)
    numbers = np.array([_number(name) for name in names], np.int64)
    _check(numbers, names, container)
    kept, split, rule = _split(numbers, names, config, progress)
    flags = None if config.no_attributes else attributes_of(Lists(container, config.root), numbers, progress, _ATTRIBUTES)
    found, size = _first_size(container, names), config.dimensions or (SIDE, SIDE)
    transform = Transform(channels=3, size=None if size == found else size, source=found)
    used = kept[: config.limit or None]
    return FileSource(
        name="celeba-hq",
        image_shape=(3, *size[::-1]),
        transform=transform,
        labels=np.full(len(used), -1, np.int64),
        split=split[: len(used)],
        split_rule=rule,
        attributes=flags.values[used] if flags else None,
        attribute_names=flags.names if flags else (),
        container=container,
        names=[names[row] for row in used],
        workers=config.workers,
    )


def _number(name: str) -> int:
    """Return the number of a face: 12 for '00012.jpg'; −1 for another file."""
    stem = PurePosixPath(name).stem
    return int(stem) if re.fullmatch(r"\d{1,6}", stem, re.A) else -1


def _check(numbers: np.ndarray, names: list[str], container: Container) -> None:
    if not names:
        raise FileError(f"{container.path}: has no 0.jpg … {COUNT - 1}.jpg, so it is not CelebA-HQ; for other images use 'folder'")
    if numbers[-1] >= COUNT:
        raise FileError(f"{container.path}: CelebA-HQ's numbers are 0 … {COUNT - 1}, but it has {names[-1]}; for other images use 'folder'")
    twice = np.flatnonzero(numbers[1:] == numbers[:-1])
    if len(twice):
        raise FileError(f"{container.path}: has both {names[twice[0]]} and {names[twice[0] + 1]}; pass the folder with one of them")


def _split(numbers: np.ndarray, names: list[str], config: PrepareConfig, progress: Progress) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the rows to use (k,), their split (k,) and the rule."""
    if config.split_file:
        splits = file_splits(config.split_file, names, progress)
        kept = np.array([row for row, split in enumerate(splits) if split], np.int64)
        return kept, np.array([_SPLITS[splits[row]] for row in kept], np.uint8), f"from {config.split_file.name}"
    split = np.where(numbers < COUNT - TEST_COUNT, TRAIN, TEST).astype(np.uint8)
    return np.arange(len(names)), split, f"genrev's own: test is {COUNT - TEST_COUNT} … {COUNT - 1} (CelebA-HQ has no official split)"


def _first_size(container: Container, names: list[str]) -> Size:
    """Return the size of the first face. Raises FileError if it is no image."""
    try:
        with container.reader() as read:
            return probe(read(names[0])).size
    except DamagedImage as error:
        raise FileError(f"{container.where(names[0])}: not a usable image ({error}); remove it") from error
    except Exception as error:  # a broken archive raises many kinds
        raise FileError(f"{container.where(names[0])}: cannot be read ({error})") from error


SOURCE = Entry("celeba-hq", open_celeba_hq, ("path", "size", "split_file", "no_attributes"))
