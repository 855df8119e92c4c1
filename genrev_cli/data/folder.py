"""The user's own images: a folder or zip whose subfolders may name the splits and the classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, image_names, natural_key, open_container
from genrev_cli.data.decode import FileSource, run
from genrev_cli.data.pixels import probe
from genrev_cli.data.source import TEST, TRAIN, VAL, Damage, refuse_damaged
from genrev_cli.data.transform import Transform
from genrev_cli.errors import FileError, UsageError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
_BY_FOLDERS = "by folders"


@dataclass(frozen=True)
class Tree:
    """Split and class of each image, from its folders. parts: 'train', 'val', 'test', or '' without a split. classes: '' without one."""

    parts: Sequence[str]
    classes: Sequence[str]


@dataclass(frozen=True)
class Survey:
    """The content of the images' headers. sizes: (width, height) → count. gray: True if all are. rows: row numbers of undamaged images."""

    sizes: Counter[tuple[int, int]]
    gray: bool
    rows: np.ndarray
    damaged: tuple[Damage, ...]


def open_folder(config: PrepareConfig, progress: Progress) -> FileSource:
    """Return all images below a folder or in a zip, in natural order of their names.

    Raises FileError if there is no image or one is damaged (unless `skip_damaged`), UsageError if sizes differ and none is given.
    """
    container = open_container(config.root, "pass an existing folder or zip of images")
    names, ignored = image_names(container)
    if ignored:
        progress.note(f"{container.path}: ignored {ignored} files that are not images")
    tree = read_tree(names)
    split, rule = _split(tree, config)
    classes = sorted({name for name in tree.classes if name}, key=natural_key)
    number = {"": -1} | {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in tree.classes], np.int64)

    end = config.limit or len(names)
    names = names[:end]
    survey = _survey(container, names, config, progress)
    if not len(survey.rows):
        raise FileError(f"{container.path}: all {len(names)} images are damaged")
    transform = Transform(channels=config.channels or (1 if survey.gray else 3), size=config.dimensions)
    width, height = config.dimensions or _common_size(survey.sizes, container)
    return FileSource(
        name="folder",
        image_shape=(transform.channels, height, width),
        transform=transform,
        labels=labels[survey.rows],
        split=split[survey.rows],
        split_rule=rule,
        seed=config.split_seed if rule != _BY_FOLDERS else None,
        classes=tuple(classes),
        damaged=survey.damaged,
        container=container,
        names=[names[row] for row in survey.rows],
        workers=config.workers,
    )


def read_tree(names: Sequence[str]) -> Tree:
    """Return splits and classes from the folders in `names`.

    A single folder around everything is skipped. If all top folders are named train, val or test, they are the splits, and the folders
    in them are the classes; otherwise the top folders are the classes. A single class counts as no class.
    """
    paths = [name.split("/") for name in names]
    while all(len(path) > 1 for path in paths) and len({path[0] for path in paths}) == 1 and paths[0][0] not in _SPLITS:
        paths = [path[1:] for path in paths]
    has_splits = all(len(path) > 1 and path[0] in _SPLITS for path in paths)
    parts = [path[0] if has_splits else "" for path in paths]
    classes = [path[has_splits] if len(path) > 1 + has_splits else "" for path in paths]
    return Tree(parts, classes if len(set(classes) - {""}) > 1 else [""] * len(names))


def random_split(n: int, val_fraction: float, test_fraction: float, seed: int) -> np.ndarray:
    """Return a split (n,) uint8 with round(n · fraction) images for val and test, drawn without replacement by NumPy's PCG64."""
    order = np.random.default_rng(seed).permutation(n)
    n_val, n_test = round(n * val_fraction), round(n * test_fraction)
    split = np.full(n, TRAIN, np.uint8)
    split[order[:n_test]] = TEST
    split[order[n_test : n_test + n_val]] = VAL
    return split


def _split(tree: Tree, config: PrepareConfig) -> tuple[np.ndarray, str]:
    if tree.parts[0]:
        return np.array([_SPLITS[part] for part in tree.parts], np.uint8), _BY_FOLDERS
    rule = f"random: {config.val_fraction:g} val, {config.test_fraction:g} test, seed {config.split_seed}"
    return random_split(len(tree.parts), config.val_fraction, config.test_fraction, config.split_seed), rule


def _survey(container: Container, names: Sequence[str], config: PrepareConfig, progress: Progress) -> Survey:
    if config.size and config.channels:  # the headers are not needed
        return Survey(Counter(), config.channels == 1, np.arange(len(names)), ())
    sizes: Counter[tuple[int, int]] = Counter()
    gray, rows, damaged = True, list[int](), list[Damage]()
    with progress.task("scan", len(names), "images") as bar:
        for outcomes in run(container, names, probe, config.workers):
            for row, outcome in enumerate(outcomes, len(rows) + len(damaged)):
                if outcome.reason:
                    damaged.append(Damage(container.where(names[row]), names[row], outcome.reason))
                else:
                    rows.append(row)
                    sizes[outcome.value.size] += 1
                    gray &= outcome.value.gray
            refuse_damaged(damaged, config.skip_damaged)
            bar.advance(len(outcomes))
    return Survey(sizes, gray, np.array(rows, np.int64), tuple(damaged))


def _common_size(sizes: Counter[tuple[int, int]], container: Container) -> tuple[int, int]:
    """Return the size (width, height) of all images. Raises UsageError if they differ."""
    if len(sizes) > 1:
        some = ", ".join(f"{width}x{height} ({count})" for (width, height), count in sizes.most_common(5))
        more = f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
        raise UsageError(f"{container.path}: the images have different sizes: {some}{more}; choose one with --size")
    (size,) = sizes
    return size


SOURCE = Entry("folder", open_folder, ("path", "size", "channels", "val_fraction", "test_fraction", "split_seed"))
