"""The tables that describe the images of a container: --labels, --split-file, and those that lie among the images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from genrev_cli.data.buckets import shown
from genrev_cli.data.container import Container
from genrev_cli.data.labels import Columns, Labels, Matched, join, match, read_columns, read_flags, read_splits
from genrev_cli.data.table import SUFFIXES, Table, read_table
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP
from genrev_cli.progress import Progress

_FLAGS = "_classes.csv"
"""Roboflow's table of a classification export: filename, and a column of 0 and 1 for each class. Each split's folder has its own."""
_INSIDE = ("dataset.json", "metadata.csv", "metadata.jsonl", _FLAGS)
"""StyleGAN's table, those of the hub's imagefolder, and Roboflow's."""
_TINY = "val_annotations.txt"
"""Tiny ImageNet's classes of val: the second column."""


@dataclass(frozen=True)
class Annotations:
    """Splits, classes and attributes of n images, read from tables.

    labels.classes is None if they say nothing of classes. rule: for the header.
    """

    labels: Labels
    rule: str
    used: tuple[str, ...] = ()


def table_at(path: Path) -> Table:
    """Return the table in a file of the user. Raises FileError if it is missing or no table."""
    if not path.name.lower().endswith(SUFFIXES):
        raise FileError(f"{path}: not a kind of table that genrev reads ({', '.join(SUFFIXES)})")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from error
    return read_table(data, path.name, str(path))


def table_inside(container: Container, name: str) -> Table:
    """Return the table in a file of a container. Raises FileError if it cannot be read or is no table."""
    where = container.where(name)
    try:
        with container.reader() as read:
            data = read(name)
    except BROKEN_ZIP as error:
        raise FileError(f"{where}: cannot be read ({error})") from error
    return read_table(data, name, where)


def matched_at(path: Path, names: Sequence[str], progress: Progress) -> Matched:
    """Return the rows of a user's table that belong to images. Raises FileError if there are none."""
    table = table_at(path)
    matched = match(table, names, str(path))
    if matched is None:
        cells = ", ".join(f"'{cell}'" for cell in (table.rows[-1] if table.rows else table.columns)[:3])
        raise FileError(f"{path}: names none of the images; a row has {cells}, but an image is called '{names[0]}'")
    _note_unmatched(matched, str(path), progress)
    return matched


def read_labels(path: Path, names: Sequence[str], label_column: str, progress: Progress) -> Annotations:
    """Return what --labels says about images. Raises FileError if it names none of them, or has neither classes nor attributes."""
    matched = matched_at(path, names, progress)
    labels = read_columns(matched.columns, label_column=label_column, where=str(path))
    if labels.classes is None and not labels.names:
        why = ", ".join(f"'{name}' {reason}" for name, reason in labels.unused.items())
        raise FileError(f"{path}: has neither classes nor attributes: {why}; choose the column of the class with --label-column NAME")
    _note_unused(labels, str(path), progress)
    return Annotations(labels, _rule(labels, path.name))


def find_labels(container: Container, names: Sequence[str], label_column: str, progress: Progress) -> Annotations | None:
    """Return what the tables among the images say (`_INSIDE`); None without such a file, or if none names an image.

    A file in a folder describes the images below that folder. Raises FileError if one cannot be read.
    """
    tables, used = [], []
    for file in (name for name in container.names() if PurePosixPath(name).name in _INSIDE and not re.search(r"(^|/)(\.|__MACOSX/)", name)):
        where, folder = container.where(file), file[: -len(PurePosixPath(file).name)]
        rows = [row for row, name in enumerate(names) if name.startswith(folder)]
        try:
            table = _with_header(table_inside(container, file), file)
            matched = match(table, [names[row] for row in rows], where) if table else None
        except FileError as error:
            raise FileError(f"{error}; pass --no-classes to leave it out") from error
        if matched is None:
            progress.note(f"{where}: has no labels of these images, so it is not used")
            continue
        _note_unmatched(matched, where, progress)
        tables.append((rows, matched))
        used.append(file)
    if not tables:
        return None
    columns, where = join(tables, len(names)), container.where(used[0])
    if not label_column and {PurePosixPath(file).name for file in used} == {_FLAGS} and (found := _flags(columns, where, progress)):
        return Annotations(found, f"from {_FLAGS}, where every row has one 1", tuple(used))
    labels = read_columns(columns, label_column=label_column, where=where)
    _note_unused(labels, where, progress)
    return Annotations(labels, _rule(labels, PurePosixPath(used[0]).name), tuple(used))


def _with_header(table: Table, file: str) -> Table | None:
    """Return a table; Roboflow's with its header, or None for its table of the pixel values of masks, which has the same name."""
    if PurePosixPath(file).name != _FLAGS:
        return table
    return Table(table.rows[1:], table.rows[0]) if table.rows and table.rows[0][0].lower() == "filename" else None


def _flags(columns: Columns, where: str, progress: Progress) -> Labels | None:
    """Return what columns of 0 and 1 mean, and say so if they are attributes; None for other columns."""
    labels = read_flags(columns)
    if labels and labels.names:
        why = "rows have no 1 or several" if len(columns) > 1 else "it has a single column"
        progress.note(f"{where}: {why}, so its columns are attributes, not classes")
    return labels


def tiny_imagenet(container: Container, names: Sequence[str]) -> list[str] | None:
    """Return the classes in Tiny ImageNet's val_annotations.txt, '' for other images; None without such a file."""
    file = next((name for name in container.names() if PurePosixPath(name).name == _TINY), None)
    if file is None:
        return None
    folder = file[: -len(_TINY)]
    rows = [row for row, name in enumerate(names) if name.startswith(folder)]
    matched = match(table_inside(container, file), [names[row] for row in rows], container.where(file))
    if matched is None:
        return None
    first = next(iter(matched.columns))
    return join([(rows, Matched({first: matched.columns[first]}))], len(names))[first]


def file_splits(path: Path, names: Sequence[str], progress: Progress) -> list[str]:
    """Return the split of each image from --split-file, '' for those that it does not name. Raises FileError if it names none."""
    return read_splits(matched_at(path, names, progress).columns, str(path))


def _rule(labels: Labels, name: str) -> str:
    return f"from {name}, column '{labels.column}'" if labels.column else f"from {name}"


def _note_unmatched(matched: Matched, where: str, progress: Progress) -> None:
    for kind, names, lack in (("image", matched.unmatched_images, "no row"), ("row", matched.unmatched_rows, "no image")):
        if names:
            plural = f"{len(names):,} {kind}s have" if len(names) > 1 else f"1 {kind} has"
            progress.note(f"{where}: {plural} {lack}: {shown(names)}")


def _note_unused(labels: Labels, where: str, progress: Progress) -> None:
    if labels.unused:
        progress.note(f"{where}: columns not used: {'; '.join(f'{name} {reason}' for name, reason in labels.unused.items())}")


def no_attributes(n: int) -> np.ndarray:
    """Return the attributes of n images without any, (n, 0) int8."""
    return np.empty((n, 0), np.int8)
