"""The user's own images: a folder or zip whose subfolders may name the splits and the classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genrev_cli.data.config import Entry
from genrev_cli.data.container import image_names, natural_key, open_container
from genrev_cli.data.decode import FileSource
from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.data.survey import Described, file_source
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
_BY_FOLDERS = "by folders"


@dataclass(frozen=True)
class Tree:
    """Split and class of each image, from its folders. parts: 'train', 'val', 'test', or '' without a split. classes: '' without one."""

    parts: Sequence[str]
    classes: Sequence[str]


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

    described = Described(
        name="folder",
        labels=labels,
        split=split,
        split_rule=rule,
        seed=config.split_seed if rule != _BY_FOLDERS else None,
        classes=tuple(classes),
    )
    return file_source(container, names, described, config, progress)


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


SOURCE = Entry("folder", open_folder, ("path", "size", "channels", "values", "val_fraction", "test_fraction", "split_seed"))
