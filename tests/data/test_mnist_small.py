"""The built-in part of MNIST: the images that the published files have at these places."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import genrev_cli as genrev
from genrev_cli.data.mnist_small import EVERY

MNIST = Path(__file__).parents[3] / "shared/data/mnist"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    from genrev_cli.cli import main

    out = tmp_path_factory.mktemp("small") / "small.h5"
    assert main(["prepare-data", "mnist-small", "--out", str(out)]) == 0
    return genrev.open_data(out)


def test_it_has_all_classes_in_both_splits(small):
    assert small.image_shape == (1, 28, 28)
    train, test = small.rows("train"), small.rows("test")
    assert (len(train), len(test)) == (60_000 // EVERY, 10_000 // EVERY)
    for rows in (train, test):
        counts = np.bincount(small.labels[rows], minlength=10) / len(rows)
        assert counts.min() > 0.07
        assert counts.max() < 0.13
    assert small.classes == tuple("0123456789")


@pytest.mark.shared_data
@pytest.mark.skipif(not MNIST.exists(), reason=f"{MNIST} is missing")
@pytest.mark.parametrize(("split", "part"), [("train", "train"), ("test", "t10k")])
def test_they_are_every_eighth_of_the_published_images(small, split, part):
    images, labels = (gzip.decompress((MNIST / f"{part}-{kind}-ubyte.gz").read_bytes()) for kind in ("images-idx3", "labels-idx1"))
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    rows = small.rows(split)
    assert (small.read(rows) == pixels[::EVERY]).all()
    assert (small.labels[rows] == np.frombuffer(labels, np.uint8, offset=8)[::EVERY]).all()
