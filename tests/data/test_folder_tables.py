"""prepare-data folder with --labels, --split-file and tables among the images, from files to the prepared set; and genrev info on it."""

import json
import zipfile

import numpy as np
import pytest

from genrev_cli.cli import commands, main
from genrev_cli.files.hdf5 import read_digest

commands.arrange()

NAMES = [f"{i}.png" for i in range(6)]


def test_a_table_gives_the_classes(photos, prepare, work):
    photos(NAMES)
    (work / "labels.csv").write_text("file,breed\n" + "".join(f"{i}.png,{'dog' if i % 2 else 'cat'}\n" for i in range(5)) + "9.png,cat\n")
    code, images, err = prepare("--labels", "labels.csv")
    assert code == 0
    assert images.labels.tolist() == [0, 1, 0, 1, 0, -1]
    assert images.header.config["classes"] == ["cat", "dog"]
    assert images.header.config["class_rule"] == "from labels.csv"
    assert "labels.csv: 1 image has no row: '5.png'" in err
    assert "labels.csv: 1 row has no image: '9.png'" in err
    assert "2 classes (from labels.csv)" in err
    assert images.attribute_names == []
    assert images.attributes.shape == (6, 0)


def test_a_table_gives_attributes_and_a_class(photos, prepare, work, capsys):
    photos(NAMES)
    rows = "".join(f"{i},{1 if i < 2 else -1},{'ab'[i % 2]},{i / 7},\n" for i in range(5))
    (work / "list.tsv").write_text(f"id,Smiling,kind,ratio,empty\n{rows}")
    code, images, err = prepare("--labels", "list.tsv")
    assert code == 0
    assert images.attribute_names == ["Smiling"]
    assert images.attributes.tolist() == [[1], [1], [0], [0], [0], [-1]]
    assert images.labels.tolist() == [0, 1, 0, 1, 0, -1]
    assert images.header.config["class_rule"] == "from list.tsv, column 'kind'"
    assert "columns not used: ratio has real numbers; empty is empty" in err
    assert main(["info", "out.h5", "--verify"]) == 0
    shown = capsys.readouterr().out
    assert "images per attribute (have it, lack it, unknown):\n    Smiling  2, 3, 1\n" in shown
    assert "images per class (train, val, test):\n    a " in shown
    assert main(["info", "out.h5", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["attribute_counts"] == {"Smiling": [2, 3, 1]}
    assert sum(numbers["class_counts"]["b"]) == 2
    code, images, _ = prepare("--labels", "list.tsv", "--no-attributes")
    assert (code, images.attribute_names) == (0, [])


def test_attributes_change_the_digest_and_their_absence_does_not(photos, prepare, work):
    photos(NAMES)
    _, images, _ = prepare()
    plain = read_digest(images.path)
    (work / "flags.csv").write_text("name,a,b\n" + "".join(f"{i}.png,{i % 2},{i // 3}\n" for i in range(6)))
    _, images, _ = prepare("--labels", "flags.csv")
    assert read_digest(images.path) == images.header.sha256 != plain
    assert images.attributes.tolist() == [[i % 2, i // 3] for i in range(6)]
    _, images, _ = prepare("--labels", "flags.csv", "--no-attributes")
    assert read_digest(images.path) == plain


@pytest.mark.parametrize(
    ("table", "words", "code", "message"),
    [
        ("x.png,a\ny.png,b\n", (), 3, "labels.csv: names none of the images; a row has 'y.png', 'b', but an image is called '0.png'"),
        ("name,p,q\n0.png,a,x\n1.png,b,y\n", (), 2, "'p', 'q' can each be the class; choose one with --label-column NAME"),
        ("name,p,q\n0.png,a,x\n1.png,b,y\n", ("--label-column", "r"), 2, "has no such column; choose p, q"),
        ("name,p\n0.png,0.5\n1.png,0.25\n", (), 3, "has neither classes nor attributes: 'p' has real numbers"),
        (None, (), 3, "labels.csv: cannot be read (No such file or directory)"),
    ],
)
def test_tables_that_do_not_fit_are_refused(photos, prepare, work, table, words, code, message):
    photos(NAMES)
    if table is not None:
        (work / "labels.csv").write_text(table)
    found, images, err = prepare("--labels", "labels.csv", *words)
    assert (found, images) == (code, None)
    assert message in err.splitlines()[-1]


def test_another_kind_of_file_is_no_table(photos, prepare):
    photos(NAMES)
    code, _, err = prepare("--labels", "photos/0.png")
    assert code == 3
    assert "not a kind of table that genrev reads (.csv, .tsv" in err


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("labels", ["numbers", "vectors", "none"])
def test_stylegans_dataset_json_is_used(photos, prepare, work, packed, labels):
    names = [f"{i // 4:05}/img{i:08}.png" for i in range(8)]
    folder = photos(names)
    kinds = {"numbers": lambda i: i % 3, "vectors": lambda i: [int(i % 3 == k) for k in range(3)]}
    content = None if labels == "none" else [[name, kinds[labels](i)] for i, name in enumerate(names)]
    (folder / "dataset.json").write_text(json.dumps({"labels": content}))
    path = folder
    if packed:
        path = work / "photos.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.rglob("*.*"):
                archive.write(file, file.relative_to(folder))
    code, images, err = prepare(path=path)
    assert code == 0
    assert images.labels.tolist() == ([-1] * 8 if labels == "none" else [i % 3 for i in range(8)])
    assert images.header.config["class_rule"] == (
        "none: '00000', '00001' are numbered parts, no classes" if labels == "none" else "from dataset.json"
    )
    assert ("has no labels of these images, so it is not used" in err) == (labels == "none")
    code, images, _ = prepare("--no-classes", path=path)
    assert images.header.config["class_rule"] == "none: --no-classes"
    assert (images.labels == -1).all()


def test_the_hubs_metadata_describes_the_folder_that_it_lies_in(photos, prepare):
    folder = photos(["train/0.png", "train/1.png", "test/0.png", "test/1.png"])
    for split, labels in (("train", "ab"), ("test", "ba")):
        lines = [json.dumps({"file_name": f"{i}.png", "label": label, "objects": {"box": []}}) for i, label in enumerate(labels)]
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))
    code, images, err = prepare()
    assert code == 0
    assert images.labels.tolist() == [1, 0, 0, 1]  # test comes first
    assert images.header.config["counts"] == {"train": 2, "val": 0, "test": 2}
    assert images.header.config["class_rule"] == "from metadata.jsonl"
    assert "not images" not in err


def test_captions_are_no_classes_and_class_folders_stay(photos, prepare):
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(15)]
    folder = photos(names)
    (folder / "metadata.csv").write_text("file_name,text\n" + "".join(f"{name},a photo of {name}\n" for name in names))
    code, images, err = prepare()
    assert code == 0
    assert images.labels.tolist() == [0] * 15 + [1] * 15
    assert images.header.config["class_rule"] == "by folders"
    assert "columns not used: text has 30 different values for 30 images" in err


def test_a_damaged_table_among_the_images_is_refused_with_a_cure(photos, prepare):
    (photos(NAMES) / "dataset.json").write_text('{"labels": [')
    code, _, err = prepare()
    assert code == 3
    assert "dataset.json: not valid JSON" in err
    assert "pass --no-classes to leave it out" in err
    assert prepare("--no-classes")[0] == 0


def test_tiny_imagenet_is_read(photos, prepare):
    folder = photos(
        [*(f"tiny/train/{c}/images/{c}_{i}.png" for c in ("n01", "n02") for i in range(3)),
         *(f"tiny/val/images/val_{i}.png" for i in range(3)), "tiny/test/images/test_0.png"]
    )  # fmt: skip
    (folder / "tiny" / "val" / "val_annotations.txt").write_text(
        "".join(f"val_{i}.png\t{label}\t0\t{i}\t44\t62\n" for i, label in enumerate(("n02", "n01", "n02")))
    )
    (folder / "tiny" / "train" / "n01" / "n01_boxes.txt").write_text("n01_0.png\t0\t0\t62\t62\n")
    code, images, err = prepare()
    assert code == 0
    assert images.header.config["classes"] == ["n01", "n02"]
    assert images.labels.tolist() == [-1, 0, 0, 0, 1, 1, 1, 1, 0, 1]
    assert images.header.config["class_rule"] == "by folders and val_annotations.txt"
    assert images.header.config["counts"] == {"train": 6, "val": 3, "test": 1}
    assert "1 image has no class: 'tiny/test/images/test_0.png'" in err


def test_a_split_file_gives_the_split_and_leaves_out_what_it_does_not_name(photos, prepare, work):
    photos(NAMES)
    (work / "splits.csv").write_text("file,set\n0.png,Train\n1.png,training\n2.png,dev\n3.png,TEST\n4.png,train\n")
    code, images, err = prepare("--split-file", "splits.csv")
    assert code == 0
    assert images.split.tolist() == [0, 0, 1, 2, 0]
    assert images.header.config["split_rule"] == "from splits.csv"
    assert "seed" not in images.header.made_by
    assert "splits.csv: 1 image has no row: '5.png'" in err


def test_a_split_file_and_classes_of_folders_go_together(photos, prepare, work):
    photos(["train/a/1.png", "train/b/2.png", "test/c/3.png"])
    (work / "splits.json").write_text(json.dumps({"1": "train", "2": "test", "3": "train"}))
    code, images, err = prepare("--split-file", "splits.json")
    assert code == 0
    assert "photos: 'test' has classes that 'train' lacks: 'b'" in err
    assert images.header.config["classes"] == ["a", "b", "c"]
    assert sorted(zip(images.labels.tolist(), images.split.tolist(), strict=True)) == [(0, 0), (1, 2), (2, 0)]


def test_doubt_ends_with_exit_code_2_and_each_option_settles_it(photos, prepare):
    photos([f"{folder}/{i}.png" for folder in ("train", "cats", "dogs") for i in range(4)])
    code, images, err = prepare()
    assert (code, images) == (2, None)
    assert "'train' is named like a split, but 'cats', 'dogs' beside it are not" in err
    code, images, _ = prepare("--split-by", "random")
    assert images.header.config["classes"] == ["cats", "dogs", "train"]
    code, images, err = prepare("--split-by", "folders")
    assert (code, images.header.config["counts"]) == (0, {"train": 4, "val": 0, "test": 0})
    assert "left out 8 images (cats/0.png, cats/1.png, cats/2.png, …)" in err


def test_a_dry_run_prints_the_rules_and_writes_nothing(photos, prepare, work):
    photos([f"{split}/{name}/{i}.png" for split in ("Train", "Test") for name in ("ä b", "c") for i in range(3)])
    before = sorted(work.rglob("*"))
    code, images, err = prepare("--dry-run")
    assert (code, images) == (0, None)
    assert sorted(work.rglob("*")) == before
    for line in ("'Train' → train, 'Test' → test", "train 6, val 0, test 6 (split: by folders)", "ä b      3    0     3", "Class rule"):
        assert line in err


def test_the_table_of_many_classes_is_clipped(photos, prepare):
    photos([f"class{i}/{i}.png" for i in range(40)])
    code, _, err = prepare("--test-fraction", "0", "--val-fraction", "0")
    assert code == 0
    assert "  … and 30 more, with 30, 0, 0 images" in err


@pytest.mark.parametrize("size", ["6x8", "5"])
def test_results_need_not_be_square(photos, prepare, size):
    photos(NAMES)
    code, images, _ = prepare("--size", size)
    width, height = (int(side) for side in size.split("x")) if "x" in size else (5, 5)
    assert (code, images.image_shape) == (0, (1, height, width))
    assert images.header.config["preparation"]["size"] == [width, height]
    assert np.array_equal(images.read([3])[0], np.full((1, height, width), 3))
