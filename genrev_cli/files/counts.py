"""Numbers of prepared images per class, split and attribute."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genrev_cli.files.header import Header
from genrev_cli.files.images import SPLITS, open_images


def counts_of(path: Path, header: Header) -> dict[str, dict[str, list[int]]]:
    """Return class_counts and attribute_counts of prepared images that have such; {} for a file of another kind."""
    if header.kind != "data":
        return {}
    images = open_images(path)
    classes = [str(name) for name in header.config.get("classes") or []]
    found = {
        "class_counts": class_counts(images.labels, images.split, classes),
        "attribute_counts": attribute_counts(images.attributes, images.attribute_names),
    }
    return {name: counts for name, counts in found.items() if counts}


def class_counts(labels: np.ndarray, split: np.ndarray, classes: Sequence[str]) -> dict[str, list[int]]:
    """Return class → number of images in train, val and test, for labels (n,) and split (n,).

    '(none)' counts images without a class; {} if none has one.
    """
    if not (labels >= 0).any():
        return {}
    names = [*classes, *map(str, range(len(classes), int(labels.max()) + 1))]
    counts = np.zeros((len(names) + 1, len(SPLITS)), np.int64)
    known = split < len(SPLITS)
    np.add.at(counts, (labels[known], split[known]), 1)  # label −1 is the last row
    return {name: row.tolist() for name, row in zip([*names, "(none)"], counts, strict=True) if name != "(none)" or row.any()}


def attribute_counts(attributes: np.ndarray, names: Sequence[str]) -> dict[str, list[int]]:
    """Return attribute → number of images that have it, that lack it, and of which that is unknown. attributes: (n, A) int8."""
    return {name: [int((values == value).sum()) for value in (1, 0, -1)] for name, values in zip(names, attributes.T, strict=True)}
