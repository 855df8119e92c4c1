"""Arrays of images in .npz, .npy and .h5 files of any program: Keras' x_train and y_train, MedMNIST, images and labels, …"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from genrev_cli.data.arrays import Part, PixelRows, class_labels, find_parts, range_of
from genrev_cli.data.config import Entry
from genrev_cli.data.container import natural_key
from genrev_cli.data.drawn import drawn_split
from genrev_cli.data.source import ArraySource, array_source
from genrev_cli.errors import FileError
from genrev_cli.files.hdf5_open import foreign_arrays
from genrev_cli.files.images import SPLITS
from genrev_cli.files.npz import reading_npz, rows_of
from genrev_cli.files.rows import Rows
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_SUFFIXES = (".npz", ".npy", ".h5", ".hdf5")
_MAX_LABELS = 1 << 30  # bytes


def open_arrays(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the images of a file, or of a folder of files whose names say what they hold. Without parts, the split is random.

    Raises FileError for damaged files and arrays that are no images, UsageError where names or values leave a doubt.
    """
    where = str(config.root)
    arrays = _named_arrays(config.root)
    if {"images", "labels", "split"} <= arrays.keys():
        raise FileError(f"{where}: is already prepared by genrev; pass it to other commands as --data")
    parts = find_parts({name: rows.shape for name, rows in arrays.items()}, config.subset, where)
    rows = [arrays[part.images] for part in parts]
    if any(one.dtype.kind not in "biuf" for one in rows):
        raise FileError(f"{where}: '{parts[0].images}' is {rows[0].dtype}, but images must be numbers")
    if not all(one.shape[0] for one in rows):
        raise FileError(f"{where}: '{parts[0].images}' has no images; its shape is {rows[0].shape}")
    values = range_of(rows, config.range, where, progress.note)
    images = [PixelRows(one, values, f"{where}: {part.images}") for one, part in zip(rows, parts, strict=True)]
    if len({part.shape[1:] for part in images}) > 1:
        raise FileError(f"{where}: the images of the parts have different sizes: {', '.join(str(part.shape) for part in images)}")
    counts = [part.shape[0] for part in images]
    labels, classes = _labels(arrays, parts, counts, where, progress=progress)
    by_name = parts[0].split >= 0
    split, rule, seed = (
        (np.repeat([part.split for part in parts], counts), "by names of arrays", None) if by_name else drawn_split(counts[0], config)
    )
    said = ", ".join(f"{SPLITS[part.split] if by_name else 'all'} '{part.images}' {n}" for part, n in zip(parts, counts, strict=True))
    progress.note(f"{where}: {sum(counts)} images of {'×'.join(map(str, images[0].shape[1:]))} ({said}), {len(classes)} classes")
    return array_source(
        name="array",
        size=config.dimensions,
        limit=config.limit,
        parts=images,
        labels=labels,
        split=split,
        split_rule=rule,
        seed=seed,
        classes=classes,
        values=values,
    )


def _named_arrays(root: Path) -> Mapping[str, Rows]:
    """Return the arrays of a file by name; of a folder, 'FILE' for an .npy and 'FILE/NAME' for the others."""
    if root.is_file():
        return _in_file(root)
    if not root.is_dir():
        raise FileError(f"{root}: no such file or folder; pass an .npz, .npy or .h5, or a folder of them")
    files = sorted((path for path in root.iterdir() if path.suffix.lower() in _SUFFIXES), key=lambda path: natural_key(path.name))
    if not files:
        raise FileError(f"{root}: has no .npz, .npy or .h5 files; for picture files use 'folder'")
    if len(files) == 1:
        return _in_file(files[0])
    found: dict[str, Rows] = {}
    for path in files:
        single = path.suffix.lower() == ".npy"
        found |= {path.stem if single else f"{path.stem}/{name}": rows for name, rows in _in_file(path).items()}
    return found


def _in_file(path: Path) -> dict[str, Rows]:
    if path.suffix.lower() in (".h5", ".hdf5"):
        return foreign_arrays(path)
    with ExitStack() as stack:
        arrays = stack.enter_context(reading_npz(path))
        return {name: rows_of(arrays, name, str(path)) for name in arrays}


def _labels(
    arrays: Mapping[str, Rows], parts: list[Part], counts: list[int], where: str, *, progress: Progress
) -> tuple[np.ndarray, tuple[str, ...]]:
    unknown = np.full(sum(counts), -1, np.int64), ()
    columns = []
    for part, n in zip(parts, counts, strict=True):
        rows = arrays[part.labels] if part.labels else None
        if rows is not None and (not rows.shape or rows.shape[0] != n):
            raise FileError(f"{where}: '{part.labels}' has shape {rows.shape}, but there are {n} images")
        if rows is not None and int(np.prod(rows.shape)) * rows.dtype.itemsize > _MAX_LABELS:
            raise FileError(f"{where}: '{part.labels}' is too large for labels: {rows.shape}")
        columns.append(None if rows is None else np.asarray(rows[0:n]))
    if not any(column is not None for column in columns):
        return unknown
    found = class_labels(columns, counts)
    if found is None:
        shape = next(column.shape for column in columns if column is not None)
        progress.note(f"{where}: '{parts[0].labels}' of shape {shape} holds no classes (integers, one-hot rows or texts) and is ignored")
        return unknown
    return found


SOURCE = Entry("array", open_arrays, ("path", "size", "values", "subset", "val_fraction", "test_fraction", "split_seed"))
