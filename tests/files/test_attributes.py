"""Attributes of prepared images: in the file, in the header, and counted."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.counts import attribute_counts, class_counts, counts_of
from genrev_cli.files.header import Header
from genrev_cli.files.images import open_images

VALUES = np.array([[1, 0], [0, -1], [1, 1]], np.int8)


@pytest.fixture
def write(tmp_path):
    """A function that writes three prepared images with these attributes, and names for them in the header."""

    def write(values=VALUES, names=("Male", "Young"), dtype="int8"):
        config = {"source": {"name": "x"}, "image_shape": [1, 2, 2], "counts": {"train": 3}}
        config |= {"classes": ["a", "b"], **({"attributes": list(names)} if names is not None else {})}
        arrays = {"images": np.zeros((3, 1, 2, 2), np.uint8), "labels": np.array([0, 1, -1]), "split": np.array([0, 0, 2], np.uint8)}
        arrays |= {"attributes": values.astype(dtype)} if values is not None else {}
        with hdf5.writing(tmp_path / "x.h5", Header("data", config, "")) as writer:
            for name, array in arrays.items():
                writer.create(name, array.shape, str(array.dtype))
                writer.write(name, 0, array)
        return tmp_path / "x.h5"

    return write


def test_attributes_come_back_with_their_names(write):
    images = open_images(write())
    assert images.attribute_names == ["Male", "Young"]
    assert np.array_equal(images.attributes, VALUES)
    assert images.attributes is images.attributes  # read once
    assert counts_of(images.path, images.header) == {
        "class_counts": {"a": [1, 0, 0], "b": [1, 0, 0], "(none)": [0, 0, 1]},
        "attribute_counts": {"Male": [2, 1, 0], "Young": [1, 1, 1]},
    }


def test_a_file_without_attributes_has_none(write):
    images = open_images(write(None, None))
    assert (images.attribute_names, images.attributes.shape) == ([], (3, 0))
    assert "attribute_counts" not in counts_of(images.path, images.header)
    assert counts_of(images.path, replace(images.header, kind="codes")) == {}


@pytest.mark.parametrize(("values", "names"), [(VALUES, ("Male",)), (None, ("Male",)), (VALUES + 1, ("Male", "Young")), (VALUES, None)])
def test_attributes_that_do_not_match_their_names_are_damage(write, values, names):
    images = open_images(write(values, names))
    with pytest.raises(FileError, match=r"x.h5: damaged: its attributes do not match"):
        assert images.attributes is None


def test_attributes_of_another_type_or_length_are_refused(write):
    with pytest.raises(FileError, match="attributes must not be int64"):
        open_images(write(dtype="int64"))
    path = write()
    with h5py.File(path, "a") as file:
        del file["attributes"]
        file["attributes"] = VALUES[:2]
    with pytest.raises(FileError, match="different lengths"):
        open_images(path)


def test_counts_of_labels_without_names_and_of_none():
    labels, split = np.array([2, -1, 0]), np.array([0, 1, 2], np.uint8)
    assert class_counts(labels, split, ["a"]) == {"a": [0, 0, 1], "1": [0, 0, 0], "2": [1, 0, 0], "(none)": [0, 1, 0]}
    assert class_counts(np.array([-1, -1, -1]), split, ["a"]) == {}
    assert attribute_counts(np.empty((3, 0), np.int8), []) == {}
