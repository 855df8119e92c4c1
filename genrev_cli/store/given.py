"""The images that a command works on: those of a split of prepared data, or pictures that are given by their paths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.data.photos import find_photos
from genrev_cli.errors import UsageError
from genrev_cli.files.images import ImageSet
from genrev_cli.progress import Progress
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.common import Taking
from genrev_cli.settings.figures import ReconstructSettings
from genrev_cli.store.checkpoints import Checkpoint, data_of
from genrev_cli.store.preparation import fitting_of, note_fitting


@dataclass(frozen=True, kw_only=True)
class Given:
    """n images for a checkpoint. sources: the prepared data, or all pictures, for messages and for what must not be replaced.

    read: (start, stop) → images start … stop − 1, (k, C, H, W) uint8. labels, rows: (n,) int64. split: '' for pictures.
    names: of pictures and of chosen rows, () for a whole split. attributes: (n, A) int8 with their names, None without any.
    record: makes the entry of the images among the inputs of a file.
    """

    sources: Sequence[Path]
    role: str
    read: Callable[[int, int], np.ndarray]
    labels: np.ndarray
    rows: np.ndarray
    split: str
    names: tuple[str, ...]
    record: Callable[[], dict[str, Any]]
    attributes: np.ndarray | None = None
    attribute_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def given_images(
    model: Checkpoint,
    settings: EncodeSettings | ReconstructSettings,
    *,
    data: Path | None,
    pictures: Sequence[Path],
    progress: Progress,
) -> Given:
    """Return the pictures if there are some, else the split of `data`, None being the data of the checkpoint's training.

    Raises FileError for unusable files, UsageError for a split without images and for settings of prepared images with pictures.
    """
    if pictures:
        _require_no_data(settings, data, pictures[0])
        return _pictures(model, pictures, taking=settings, progress=progress)
    require_pictures(settings, False)
    images = data_of(model.header, data, model.path)
    return _of_rows(images, images.rows(settings.split), settings.split, ())


def given_photos(model: Checkpoint, names: Sequence[str], *, data: Path | None, split: str, taking: Taking, progress: Progress) -> Given:
    """Return pictures by their paths, or images by their row numbers within a split of `data`, None being the data of the training.

    Raises FileError for unusable files, UsageError for an unknown row, and for numbers and paths together.
    """
    numbers = [name for name in names if name.isdigit()]
    if numbers and len(numbers) < len(names):
        path = next(name for name in names if not name.isdigit())
        raise UsageError(f"{numbers[0]} and {path}: give either row numbers of the data or picture files")
    if not numbers:
        if data:
            raise UsageError(f"--data {data}: has a meaning only with row numbers, and {names[0]} is a file; leave --data out")
        return _pictures(model, [Path(name) for name in names], taking=taking, progress=progress)
    require_pictures(taking, False)
    images = data_of(model.header, data, model.path)
    rows, chosen = images.rows(split), [int(number) for number in numbers]
    if missing := [number for number in chosen if number >= len(rows)]:
        raise UsageError(f"{images.path}: has no image {missing[0]} in split '{split}' (0 to {len(rows) - 1})")
    names = tuple(f"{split}-{number}.png" for number in chosen)
    return _of_rows(images, rows[chosen], split, names)


def require_pictures(taking: Taking, some: bool) -> None:
    """Raise UsageError for --as-is or --invert without pictures."""
    if not some and (taking.as_is or taking.invert):
        raise UsageError(f"{'--as-is' if taking.as_is else '--invert'}: has a meaning only with pictures; give some, or leave it out")


def _of_rows(images: ImageSet, rows: np.ndarray, split: str, names: tuple[str, ...]) -> Given:
    return Given(
        sources=[images.path],
        role="data",
        read=lambda start, stop: images.read(rows[start:stop]),
        labels=images.labels[rows],
        rows=rows,
        split=split,
        names=names,
        record=lambda: images.header.as_input(images.path),
        attributes=images.attributes[rows] if images.attribute_names else None,
        attribute_names=tuple(images.attribute_names),
    )


def _pictures(model: Checkpoint, pictures: Sequence[Path], *, taking: Taking, progress: Progress) -> Given:
    photos, fitting = find_photos(pictures, progress), fitting_of(model, progress, taking)
    note_fitting(model, photos, fitting, progress)
    return Given(
        sources=pictures,
        role="pictures",
        read=lambda start, stop: photos.read(fitting, start, stop),
        labels=np.full(len(photos), -1, np.int64),
        rows=np.arange(len(photos)),
        split="",
        names=photos.names,
        record=lambda: photos.record(fitting),
    )


def _require_no_data(settings: EncodeSettings | ReconstructSettings, data: Path | None, picture: Path) -> None:
    default = next(field.default for field in fields(settings) if field.name == "split")
    for flag, asked in ((f"--data {data}", data is not None), (f"--split {settings.split}", settings.split != default)):
        if asked:
            raise UsageError(f"{picture} and {flag}: both choose the images; leave one of them out")
