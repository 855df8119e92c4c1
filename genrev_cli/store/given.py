"""The images that a command works on: those of a split of prepared data, or pictures that are given by their paths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.data.photos import find_photos
from genrev_cli.errors import UsageError
from genrev_cli.progress import Progress
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.figures import ReconstructSettings
from genrev_cli.store.checkpoints import Checkpoint, data_of
from genrev_cli.store.preparation import fitting_of, note_fitting


@dataclass(frozen=True, kw_only=True)
class Given:
    """n images for a checkpoint. source: the prepared data, or all pictures, for messages and for what must not be replaced.

    read: (start, stop) → images start … stop − 1, (k, C, H, W) uint8. labels, rows: (n,) int64. split: '' for pictures.
    names: of pictures, () for prepared images. attributes: (n, A) int8 with their names, None without any.
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
        return _pictures(model, pictures, as_is=settings.as_is, progress=progress)
    require_pictures(settings.as_is, False)
    images = data_of(model.header, data, model.path)
    rows = images.rows(settings.split)
    return Given(
        sources=[images.path],
        role="data",
        read=lambda start, stop: images.read(rows[start:stop]),
        labels=images.labels[rows],
        rows=rows,
        split=settings.split,
        names=(),
        record=lambda: images.header.as_input(images.path),
        attributes=images.attributes[rows] if images.attribute_names else None,
        attribute_names=tuple(images.attribute_names),
    )


def require_pictures(as_is: bool, some: bool) -> None:
    """Raise UsageError for --as-is without pictures."""
    if as_is and not some:
        raise UsageError("--as-is: has a meaning only with pictures; give some, or leave it out")


def _pictures(model: Checkpoint, pictures: Sequence[Path], *, as_is: bool, progress: Progress) -> Given:
    photos, fitting = find_photos(pictures, progress), fitting_of(model, progress, as_is=as_is)
    note_fitting(photos, fitting, progress)
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
