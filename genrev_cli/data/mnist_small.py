"""Every eighth image of MNIST (LeCun, Cortes & Burges), which needs no download: 7,500 training and 1,250 test images, 1×28×28.

Copyright Yann LeCun and Corinna Cortes; the images are available under CC BY-SA 3.0, and so is `mnist-small.npz`.
`tests/data/test_mnist_small.py` makes the same arrays from the published files.
"""

import hashlib
from importlib.resources import as_file, files

import numpy as np

from genrev_cli.data.config import Entry
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.files.npz import reading_npz
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

EVERY = 8


def open_mnist_small(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the images, in the order of the published files."""
    with as_file(files("genrev_cli.data").joinpath("mnist-small.npz")) as path, reading_npz(path) as arrays:
        pixels, labels, tests = arrays["images"], arrays["labels"], int(arrays["tests"])
    return array_source(
        name="mnist-small",
        size=config.dimensions,
        limit=config.limit,
        parts=[pixels[:, None]],
        labels=labels.astype(np.int64),
        split=np.repeat(np.array([TRAIN, TEST], np.uint8), [len(pixels) - tests, tests]),
        split_rule="as published",
        classes=tuple(map(str, range(10))),
        sums={"pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest()},
    )


SOURCE = Entry("mnist-small", open_mnist_small, ("size",))
