"""scikit-learn's 1,797 handwritten digits of 8×8 pixels (the test part of UCI's optdigits), which need no download."""

import hashlib

import numpy as np

from genrev_cli.data.config import Entry
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_EVERY = 5


def open_digits(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the digits as 1×8×8, with their 17 levels v = 0 … 16 as round(255 v / 16); see `every_fifth` for the split."""
    from sklearn.datasets import load_digits  # imported here, because it takes a second

    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)[:, None]
    return array_source(
        name="digits",
        size=config.dimensions,
        limit=config.limit,
        parts=[pixels],
        labels=digits.target,
        split=every_fifth(digits.target),
        split_rule=f"test: every {_EVERY}th image of each class",
        classes=tuple(map(str, range(10))),
        sums={"pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest()},
    )


def every_fifth(labels: np.ndarray) -> np.ndarray:
    """Return the split (n,) uint8: TEST for every fifth image *of each class*, TRAIN for the others.

    Every fifth row would not be balanced: the digits repeat 0 1 2 … 9, so 4 and 9 would fill much of the test split.
    """
    split = np.full(len(labels), TRAIN, np.uint8)
    for label in np.unique(labels):
        split[np.flatnonzero(labels == label)[_EVERY - 1 :: _EVERY]] = TEST
    return split


SOURCE = Entry("digits", open_digits, ("size",))
