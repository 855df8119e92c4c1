"""prepare-data folder with Roboflow's _classes.csv in the folder of each split, from files to the prepared set."""

import pytest


def roboflow(folder, rows, header="filename, cat, dog"):
    """Write _classes.csv as Roboflow does, with a space after each comma; rows: split → 'cat dog' of each image in order."""
    for split, flags in rows.items():
        lines = [f"{i}.png, {', '.join(own.split())}" for i, own in enumerate(flags)]
        (folder / split / "_classes.csv").write_text("\n".join([header, *lines]) + "\n")


ROBOFLOW = ["train/0.png", "train/1.png", "train/2.png", "valid/0.png", "test/0.png"]


def test_roboflows_table_with_one_1_in_each_row_gives_classes(photos, prepare):
    folder = photos(ROBOFLOW)
    roboflow(folder, {"train": ["1 0", "0 1", "0 1"], "valid": ["1 0"], "test": ["0 1"]})
    code, images, err = prepare()
    assert code == 0
    assert images.header.config["counts"] == {"train": 3, "val": 1, "test": 1}
    assert images.header.config["classes"] == ["cat", "dog"]
    assert images.labels.tolist() == [1, 0, 1, 1, 0]  # test, train, valid
    assert images.attribute_names == []
    assert "2 classes (from _classes.csv, where every row has one 1)" in err
    assert "not images" not in err
    assert "attributes" not in err
    assert (prepare("--no-classes")[1].labels == -1).all()


@pytest.mark.parametrize("odd", ["1 1", "0 0"])
def test_roboflows_table_with_other_rows_gives_attributes(photos, prepare, odd):
    folder = photos(ROBOFLOW)
    roboflow(folder, {"train": ["1 0", "0 1", odd], "valid": ["1 0"], "test": ["0 1"]})
    code, images, err = prepare()
    assert code == 0
    assert images.attribute_names == ["cat", "dog"]
    assert images.attributes.tolist() == [[0, 1], [1, 0], [0, 1], [*map(int, odd.split())], [1, 0]]
    assert images.header.config["classes"] == []
    assert "test/_classes.csv: rows have no 1 or several, so its columns are attributes, not classes" in err


def test_roboflows_classes_may_have_the_names_0_and_1(photos, prepare):
    folder = photos(ROBOFLOW)
    roboflow(folder, {"train": ["1 0", "0 1", "0 1"], "valid": ["1 0"], "test": ["0 1"]}, header="filename, 0, 1")
    assert prepare()[1].labels.tolist() == [1, 0, 1, 1, 0]


def test_roboflows_single_column_is_an_attribute(photos, prepare):
    folder = photos(ROBOFLOW)
    roboflow(folder, {"train": ["1", "1", "0"], "valid": ["1"], "test": ["1"]}, header="filename, cat")
    _, images, err = prepare()
    assert (images.attribute_names, images.attributes[:, 0].tolist()) == (["cat"], [1, 1, 1, 0, 1])
    assert "it has a single column" in err


def test_roboflows_table_of_masks_is_not_used(photos, prepare):
    """It has the same name, and its pixel values could be the names of images."""
    (photos(ROBOFLOW) / "train" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n")
    code, images, err = prepare()
    assert code == 0
    assert images.header.config["classes"] == []
    assert "_classes.csv: has no labels of these images, so it is not used" in err
