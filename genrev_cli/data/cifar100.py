"""CIFAR-100 (Krizhevsky 2009) from its Python batches, in a folder or in the published tar archive."""

import numpy as np

from genrev_cli.data.cifar10 import Published, read_batches
from genrev_cli.data.config import Entry
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PUBLISHED = Published(  # checksums from torchvision.datasets.CIFAR100
    name="CIFAR-100",
    folder="cifar-100-python",
    tar="cifar-100-python.tar.gz",
    tar_md5="eb9058c3a382ffc7106e4002c42a8d85",
    md5={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
)


def open_cifar100(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the 50,000 training and 10,000 test images, 3×32×32, labelled with the 100 fine classes or the 20 coarse ones.

    Raises FileError if a file is missing, damaged, or not the published one.
    """
    found = read_batches(config.root, PUBLISHED)
    kind = "coarse" if config.coarse else "fine"
    parts = [found.pixels(name, f"{kind}_labels") for name in ("train", "test")]
    return array_source(
        name="cifar100",
        size=config.dimensions,
        limit=config.limit,
        parts=[pixels for pixels, _ in parts],
        labels=np.concatenate([labels for _, labels in parts]),
        split=np.repeat([TRAIN, TEST], [len(labels) for _, labels in parts]),
        split_rule="as published",
        classes=tuple(name.decode() for name in found.content["meta"][f"{kind}_label_names".encode()]),
        sums=dict(PUBLISHED.md5),
    )


SOURCE = Entry("cifar100", open_cifar100, ("path", "size", "download", "coarse"))
