"""The user's own images: a folder or zip whose subfolders and tables may name the splits and the classes."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from genrev_cli.data.buckets import shown
from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, image_names, natural_key, open_container
from genrev_cli.data.decode import FileSource
from genrev_cli.data.drawn import drawn_split
from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.data.structure import Structure, read_structure
from genrev_cli.data.survey import Described, file_source
from genrev_cli.data.tables import Annotations, file_splits, find_labels, no_attributes, read_labels, tiny_imagenet
from genrev_cli.data.tar import Tar
from genrev_cli.data.webdataset import labels_beside
from genrev_cli.errors import UsageError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
_BY_FOLDERS = "by folders"
_MOST_CLASSES = 1 << 16


@dataclass(frozen=True)
class Layout:
    """The images to use, in order, with splits, classes and attributes.

    split: (n,) uint8. seed: of a random split. classes: '' without one. attributes: (n, A) int8.
    """

    names: list[str]
    split: np.ndarray
    split_rule: str
    seed: int | None
    _: KW_ONLY
    classes: Sequence[str]
    class_rule: str
    attributes: np.ndarray
    attribute_names: tuple[str, ...] = ()


def open_folder(config: PrepareConfig, progress: Progress) -> FileSource:
    """Return all images below a folder or in a zip, in natural order of their names.

    Raises FileError if there is no image or one is damaged (unless `skip_damaged`), UsageError if sizes differ and none is given, if the
    folders can mean two things, or if a tar has labels that only 'webdataset' reads.
    """
    container = open_container(config.root, "pass an existing folder or zip of images")
    names, ignored = image_names(container)
    layout, tables = read_layout(container, names, config, progress)
    _mention_webdataset(container, layout, config, progress)
    if ignored > tables:
        progress.note(f"{container.path}: ignored {ignored - tables} files that are not images")
    classes = sorted({*layout.classes} - {""}, key=natural_key)
    if len(classes) > _MOST_CLASSES:
        raise UsageError(
            f"{container.path}: {layout.class_rule}: {len(classes):,} classes are more than {_MOST_CLASSES:,}; pass --no-classes"
        )
    number = {"": -1} | {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in layout.classes], np.int64)

    described = Described(
        name="folder",
        labels=labels,
        split=layout.split,
        split_rule=layout.split_rule,
        seed=layout.seed,
        classes=tuple(classes),
        class_rule=layout.class_rule,
        attributes=layout.attributes,
        attribute_names=layout.attribute_names,
    )
    return file_source(container, layout.names, described, config, progress=progress)


def _mention_webdataset(container: Container, layout: Layout, config: PrepareConfig, progress: Progress) -> None:
    """Say of a tar with labels in files beside its pictures that 'webdataset' reads them.

    Raises UsageError if the images would have no labels at all.
    """
    if config.no_classes or config.labels or not isinstance(container, Tar) or not (kind := labels_beside(container, layout.names)):
        return
    said = f"the .{kind} files beside its pictures have labels, which 'genrev prepare-data webdataset --path {container.path}' reads"
    if not any(layout.classes) and not layout.attribute_names:
        raise UsageError(f"{container.path}: {said}; pass --no-classes to leave them out")
    progress.note(f"{container.path}: {said}; they are not used here")


def read_layout(container: Container, names: Sequence[str], config: PrepareConfig, progress: Progress) -> tuple[Layout, int]:
    """Return what folders, tables and options say about the images in a container, and how many of its files are tables that were used.

    Raises UsageError if the folders can mean two things, FileError for a table that cannot be used.
    """
    where = str(container.path)
    table = _described(container, names, config, progress)
    by_table = table is not None and table.labels.classes is not None and not config.class_level
    structure = read_structure(
        names,
        split_by="random" if config.split_file else config.split_by,
        class_level=config.class_level,
        classes=not config.no_classes and not by_table,
        where=where,
    )
    for note in structure.notes:
        progress.note(note)
    classes, rule = structure.classes, structure.class_rule
    if by_table and table is not None and table.labels.classes is not None:
        classes, rule = table.labels.classes, table.rule
    elif not config.no_classes and (annotated := tiny_imagenet(container, names)):
        classes, rule = [own or other for own, other in zip(classes, annotated, strict=True)], f"{rule} and val_annotations.txt"
    kept, split, split_rule, seed = _split(structure, names, config, progress)
    flags = table.labels if table and not config.no_attributes else None
    attributes = flags.attributes if flags else no_attributes(len(names))
    layout = Layout(
        [names[row] for row in kept], split, split_rule, seed, classes=[classes[row] for row in kept],
        class_rule=rule, attributes=attributes[kept], attribute_names=flags.names if flags else (),
    )  # fmt: skip
    for note in _class_notes(layout):
        progress.note(f"{where}: {note}")
    return layout, len(table.used) if table else 0


def _class_notes(layout: Layout) -> list[str]:
    """Return notes on images without a class, and on classes of val and test that train lacks."""
    notes = []
    unlabelled = [name for name, own in zip(layout.names, layout.classes, strict=True) if not own]
    if 0 < len(unlabelled) < len(layout.names):
        images = "1 image has" if len(unlabelled) == 1 else f"{len(unlabelled):,} images have"
        notes.append(f"{images} no class: {shown(unlabelled)}")
    found = {split: {own for own, number in zip(layout.classes, layout.split, strict=True) if number == i} for split, i in _SPLITS.items()}
    for split in ("val", "test"):
        if unseen := sorted(found[split] - found["train"] - {""}, key=natural_key):
            notes.append(f"'{split}' has classes that 'train' lacks: {shown(unseen)}")
    return notes


def _described(container: Container, names: Sequence[str], config: PrepareConfig, progress: Progress) -> Annotations | None:
    if config.labels:
        return read_labels(config.labels, names, config.label_column, progress)
    return None if config.no_classes else find_labels(container, names, config.label_column, progress)


def _split(
    structure: Structure, names: Sequence[str], config: PrepareConfig, progress: Progress
) -> tuple[Sequence[int], np.ndarray, str, int | None]:
    """Return the rows to use, their split, the rule, and the seed of a random split."""
    if config.split_file:
        splits = file_splits(config.split_file, names, progress)
        kept = [row for row, split in enumerate(splits) if split]
        return kept, _numbers([splits[row] for row in kept]), f"from {config.split_file.name}", None
    if structure.split_folders:
        return structure.kept, _numbers([structure.splits[row] for row in structure.kept]), _BY_FOLDERS, None
    return structure.kept, *drawn_split(len(names), config)


def _numbers(splits: Sequence[str]) -> np.ndarray:
    return np.array([_SPLITS[split] for split in splits], np.uint8)


SOURCE = Entry(
    "folder",
    open_folder,
    (
        "path", "size", "channels", "values", "val_fraction", "test_fraction", "split_seed", "split_by", "split_file",
        "labels", "label_column", "class_level", "no_classes", "no_attributes",
    ),
)  # fmt: skip
