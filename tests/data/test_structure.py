"""Splits and classes from the names of files: a table of the layouts that people have, and what is refused."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from genrev_cli.data.buckets import BUCKETS, CLASSES, judge
from genrev_cli.data.split_names import SPELLINGS, split_like, split_of
from genrev_cli.data.structure import read_structure
from genrev_cli.errors import FileError, UsageError


def numbered(folder, n, start=0, name="{}.png"):
    return [f"{folder}/{name.format(i)}" for i in range(start, start + n)]


def below(folders, n=3, restart=True):
    """n files in each folder; their numbers begin again in each folder, or go on."""
    return [name for i, folder in enumerate(folders) for name in numbered(folder, n, 0 if restart else i * n)]


def read(names, **options):
    """Return the structure as 'split/class' → number of images, '-' for neither."""
    found = read_structure(names, **options)
    return Counter(f"{found.splits[row] or '-'}/{found.classes[row] or '-'}" for row in found.kept)


def per(splits, classes, n=3):
    return {f"{split}/{name}": n for split in splits for name in classes}


DIGITS = "0123456789"
WORDNET = ("n01440764", "n01443537")

CLEAR = {
    "flat": (["1.png", "2.png"], {"-/-": 2}),
    "one folder": (below(["photos"]), {"-/-": 3}),
    "one class in each split": (below(["train/cat", "test/cat"]), per(["train", "test"], ["-"])),
    "classes": (below(["cat", "dog"]), per("-", ["cat", "dog"])),
    "classes in a folder": (below(["set/all/cat", "set/all/dog"]), per("-", ["cat", "dog"])),
    "deep classes": (below(["cats/persian", "cats/manx", "dogs/poodle"]), {"-/cats": 6, "-/dogs": 3}),
    "splits without classes": (below(["train", "val", "test"]), per(["train", "val", "test"], ["-"])),
    "ImageFolder": (below(["x/train/cat", "x/train/dog", "x/val/cat", "x/val/dog"]), per(["train", "val"], ["cat", "dog"])),
    "train only": (below(["train/cat", "train/dog"]), per(["train"], ["cat", "dog"])),
    "mnist_png": (below([f"{s}/{c}" for s in ("training", "testing") for c in DIGITS]), per(["train", "test"], DIGITS)),
    "Roboflow": (below([f"{s}/{c}" for s in ("train", "valid", "test") for c in "ab"]), per(["train", "val", "test"], "ab")),
    "Roboflow detection": (below(["train/images", "valid/images", "test/images"]), per(["train", "val", "test"], "-")),
    "YOLO": (below(["images/train", "images/val"]), per(["train", "val"], "-")),
    "Kaggle twice": (below(["training_set/training_set/cats", "training_set/training_set/dogs", "test_set/test_set/cats"]),
                     {"train/cats": 3, "train/dogs": 3, "test/cats": 3}),
    "COCO": (below(["train2017", "val2017"]), per(["train", "val"], "-")),
    "GTSRB": ([f"Final_Training/Images/{c:05}/{i:05}.ppm" for c in range(3) for i in range(4 + c)],
              {"train/00000": 4, "train/00001": 5, "train/00002": 6}),
    "Capital": (below(["Train/a", "Train/b", "TEST/a"]), {"train/a": 3, "train/b": 3, "test/a": 3}),
    "splits in each class": (below(["cat/train", "cat/test", "dog/train", "dog/test"]), per(["train", "test"], ["cat", "dog"])),
    "test without classes": (below(["train/cat", "train/dog", "test"]), {"train/cat": 3, "train/dog": 3, "test/-": 3}),
    "Tiny ImageNet": ([*below([f"train/{c}/images" for c in WORDNET]), *below(["val/images", "test/images"])],
                      {**per(["train"], WORDNET), "val/-": 3, "test/-": 3}),
    "ImageNet": (below([f"train/{c}" for c in WORDNET]), per(["train"], WORDNET)),
    "AT&T": (below([f"s{i}" for i in range(1, 41)]), per("-", [f"s{i}" for i in range(1, 41)])),
    "ten digits": (below(DIGITS), per("-", DIGITS)),
    "ten digits, numbered on": (below(DIGITS, restart=False), per("-", DIGITS)),
    "a hundred numbers": (below([str(i) for i in range(100)]), per("-", [str(i) for i in range(100)])),
    "FFHQ": ([f"{k:05}/{k + i:05}.png" for k in (0, 1000, 2000) for i in range(20)], {"-/-": 60}),
    "dataset_tool": ([f"{i // 20:05}/img{i:08}.png" for i in range(50)], {"-/-": 50}),
    "dataset_tool in splits": ([f"{s}/{i // 20:05}/img{i:08}.png" for s in ("train", "test") for i in range(50)],
                               {"train/-": 50, "test/-": 50}),
    "three digits": ([f"{i // 20:03}/{i:06}.jpg" for i in range(50)], {"-/-": 50}),
    "img2dataset, some failed": ([f"{i // 20:05}/{i:09}.jpg" for i in range(50) if i not in (3, 21, 22)], {"-/-": 47}),
    "five digits of equal size": (below(["00000", "00001", "00002"]), {"-/-": 9}),
    "parts": (below(["part_1", "part_2"]), {"-/-": 6}),
    "camera": (below(["DCIM/100CANON", "DCIM/101CANON"]), {"-/-": 6}),
    "persons": ([f"{c:07}/{i:03}.jpg" for c, n in ((45, 3), (99, 7), (100, 2)) for i in range(n)],
                {"-/0000045": 3, "-/0000099": 7, "-/0000100": 2}),
    "spaces and accents": (below(["Größe 1/été", "Größe 1/hiver doux"]), per("-", ["été", "hiver doux"])),
    "few strays": ([*below(["train/a", "train/b", "test/a", "test/b"], 10), "cover.png"], per(["train", "test"], "ab", 10)),
    "few strays beside classes": ([*below(["set/a", "set/b"], 10), "cover.png"], {"-/a": 10, "-/b": 10, "-/-": 1}),
}  # fmt: skip


@pytest.mark.parametrize("layout", CLEAR)
def test_clear_layouts_are_read(layout):
    names, expected = CLEAR[layout]
    assert read(names) == expected
    assert read([f"outer/{name}" for name in names]) == expected  # a folder around everything changes nothing


DOUBTFUL = {
    "a split beside classes": (below(["train", "cats", "dogs"]), ["--split-by folders", "--split-by random", "--split-file"]),
    "vehicles": (below(["bus", "train"]), ["--split-by random"]),
    "test with an unknown class": (below(["train/a", "train/b", "test/c"]),
                                   ["'c', which 'train' lacks", "--no-classes", "--class-level 1"]),
    "classes that only test has": (below(["train", "test/a", "test/b"]), ["'test' has the classes 'a', 'b'"]),
    "many strays": ([*below(["train/a", "test/a"]), "1.png", "2.png"], ["2 images (1.png, 2.png)", "--split-by folders"]),
    "mixed levels": (["1.jpg", "2.jpg", *below(["holiday/beach", "family"])],
                     ["2 images (1.jpg, 2.jpg)", "--no-classes", "--class-level 1"]),
    "CycleGAN": (below(["trainA", "trainB", "testA", "testB"]), ["but with other words", "--split-by folders"]),
    "segmentation": (below(["train/images", "train/masks", "val/images", "val/masks"]), ["'masks'", "--no-classes"]),
    "MVTec": (below(["train/good", "test/good", "ground_truth/hole"]), ["'ground_truth' beside them is not"]),
    "two spellings": (below(["train", "Train", "test"]), ["'train', 'Train' are all named like the split 'train'"]),
    "a split deep inside": (below(["cat/test", "cat/more", "dog/more"]), ["'cat/test' is named like a split"]),
    "a split in a split": (below(["train/val", "train/a", "test/a"]), ["'val' is named like a split"]),
    "persons or parts": (below(["01", "02", "03"]), ["'01', '02', '03'", "--no-classes", "--class-level 1"]),
    "numbered on, not padded": (below([str(i) for i in range(12)], restart=False), ["can be classes, or parts of one set"]),
    "hashed names in parts": ([f"{i:03}/{c * 20}.jpg" for i, c in enumerate("abcd")], ["can be classes, or parts"]),
    "years": (below(["2019", "2020", "2021"]), ["named like dates"]),
    "days": (below(["2021-05-01", "2021-05-02"]), ["named like dates"]),
    "hash sums": (below([f"{i:02x}" for i in range(0, 256, 9)]), ["beginnings of hash sums"]),
}  # fmt: skip


@pytest.mark.parametrize("layout", DOUBTFUL)
def test_doubtful_layouts_are_refused_with_the_options_that_settle_them(layout):
    names, sentences = DOUBTFUL[layout]
    with pytest.raises(UsageError) as error:
        read(names, where="photos")
    assert str(error.value).startswith("photos: ")
    for sentence in sentences:
        assert sentence in str(error.value)


SETTLED = [
    (below(["train", "cats", "dogs"]), {"split_by": "random"}, per("-", ["train", "cats", "dogs"])),
    (below(["train", "cats", "dogs"]), {"split_by": "folders"}, {"train/-": 3}),
    (below(["trainA", "trainB", "testA", "testB"]), {"split_by": "folders"}, {"train/-": 6, "test/-": 6}),
    (below(["train/a", "train/b", "test/a"]), {"split_by": "random"}, {"-/a": 6, "-/b": 3}),
    (below(["cat/train", "cat/test", "dog/train"]), {"split_by": "random"}, {"-/cat": 6, "-/dog": 3}),
    (below(["train/a", "train/b", "test/c"]), {"classes": False}, {"train/-": 6, "test/-": 3}),
    (below(["train/a", "train/b", "test/c"]), {"class_level": 1}, {"train/a": 3, "train/b": 3, "test/c": 3}),
    (below(["train", "Train", "test"]), {"split_by": "folders"}, {"train/-": 6, "test/-": 3}),
    (["1.jpg", *below(["holiday/beach", "family"])], {"class_level": 1}, {"-/holiday": 3, "-/family": 3, "-/-": 1}),
    (["1.jpg", *below(["holiday/beach", "family"])], {"classes": False}, {"-/-": 7}),
    (below(["00000", "00001"], restart=False), {"class_level": 1}, per("-", ["00000", "00001"])),
    (below(["2019", "2020"]), {"classes": False}, {"-/-": 6}),
    (below(["cats/manx", "cats/persian", "dogs/pug"]), {"class_level": 2}, per("-", ["manx", "persian", "pug"])),
    (below(["photo/cat", "photo/dog", "art/cat"]), {"class_level": 2}, {"-/cat": 6, "-/dog": 3}),
    (["cover.png", *below(["train/a", "test/a"])], {"split_by": "folders"}, {"train/-": 3, "test/-": 3}),
    (below(["test/a", "test/b"]), {"split_by": "random"}, per("-", "ab")),
]


@pytest.mark.parametrize(("names", "options", "expected"), SETTLED)
def test_the_options_settle_what_is_doubtful(names, options, expected):
    assert read(names, **options) == expected


def test_options_that_fit_nothing_are_refused():
    with pytest.raises(UsageError, match="--split-by folders: no folder is named like train"):
        read(below(["a", "b"]), split_by="folders")
    with pytest.raises(UsageError, match="--class-level 3: there are 0 folders on that level"):
        read(below(["a", "b"]), class_level=3)
    with pytest.raises(FileError, match="no image is in the train split, all are in 'test'; pass --split-by random"):
        read(below(["test/a", "test/b"]))


def test_what_was_left_out_or_renamed_is_noted():
    found = read_structure([*below(["Training/a", "valid/a"], 20), "1.png"], where="x")
    assert found.notes == (
        "x: left out 1 image (1.png) outside of the split folders; pass --split-by random to use all images",
        "x: 'Training' → train, 'valid' → val",
    )
    assert read_structure(below(["train", "val"])).notes == ()
    (note,) = read_structure(below(["cats/manx", "cats/pug", "dogs/pug"]), where="x").notes
    assert "--class-level 2 takes the folders in them ('manx', 'pug')" in note


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (["1.png"], "none: no class folders"),
        (below(["train/a", "test/a"]), "none: 'a' is the only one"),
        (below(["a", "b"]), "by folders"),
        (below(["00000", "00001"], restart=False), "none: '00000', '00001' are numbered parts, no classes"),
    ],
)
def test_the_rule_of_classes_is_described(names, rule):
    assert read_structure(names).class_rule == rule


def test_two_spellings_of_an_accent_are_one_class():
    names = [unicodedata.normalize(form, name) for form in ("NFC", "NFD") for name in below(["train/été", "train/b", "test/été"], 1)]
    assert read(names) == {"train/été": 2, "train/b": 2, "test/été": 2}


@pytest.mark.parametrize(("split", "word"), [(split, word) for split, words in SPELLINGS.items() for word in words])
def test_every_spelling_of_a_split_is_known_in_any_letter_case(split, word):
    for folder in (
        word,
        word.upper(),
        word.title(),
        f"{word}_images",
        f"{word.title()}Set",
        f"My {word} data".replace("My ", ""),
        f"{word}2017",
    ):
        assert split_of(folder) == split
    for folder in (f"{word}A", f"seg_{word}", f"{word}1"):
        assert (split_of(folder), split_like(folder)) == ("", split)


@pytest.mark.parametrize("folder", ["", "trains", "contest", "latest", "valley", "train_test", "validators", "devon", "attest"])
def test_other_words_are_no_splits(folder):
    assert (split_of(folder), split_like(folder)) == ("", "")


@given(st.integers(2, 30), st.integers(1, 50), st.integers(3, 6), st.data())
def test_buckets_are_found_wherever_the_last_one_ends(buckets, size, width, data):
    """Files are numbered on; the last bucket has any number of files."""
    last = data.draw(st.integers(1, size))
    start = data.draw(st.sampled_from([0, 1]))
    folders = {f"{k:0{width}}": [f"img{k * size + i + start:08}" for i in range(size if k < buckets - 1 else last)] for k in range(buckets)}
    assert judge(folders) == BUCKETS


@given(st.lists(st.sampled_from("0123456789"), min_size=2, unique=True), st.data())
def test_single_digits_are_classes_whatever_is_in_them(names, data):
    stems = st.builds("{}{}".format, st.sampled_from(["", "img"]), st.integers(0, 30))
    folders = {name: data.draw(st.lists(stems, min_size=1, max_size=5)) for name in names}
    assert judge(folders) == CLASSES


_LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=8)


@given(
    st.lists(st.lists(_LETTERS, min_size=1, max_size=4), min_size=1, max_size=12),
    st.sampled_from(["", "folders", "random"]),
    st.integers(0, 2),
)
def test_any_names_are_read_or_refused_in_a_sentence(paths, split_by, class_level):
    names = ["/".join(path) for path in paths]
    try:
        found = read_structure(names, split_by=split_by, class_level=class_level)
    except (UsageError, FileError) as error:
        event(str(error)[:30])
        return
    assert len(found.splits) == len(found.classes) == len(names)
    assert set(found.kept) <= set(range(len(names)))
    assert len({found.classes[row] for row in found.kept} - {""}) != 1
    if split_by == "random":
        assert set(found.splits) == {""}


@given(
    st.lists(st.sampled_from(["cat", "dog", "owl", "été"]), min_size=1, max_size=20),
    st.lists(st.sampled_from(["train", "val", "test", ""]), max_size=20),
)
def test_splits_and_classes_come_back_from_the_names_that_they_make(classes, splits):
    """Whenever train has every class, or nothing has a split."""
    pairs = [(split, name) for split, name in zip(splits, classes, strict=False) if split]
    pairs += [("train", name) for name in classes]
    names = [f"{split}/{name}/{i}.png" for i, (split, name) in enumerate(pairs)]
    found = read_structure(names)
    assert list(found.splits) == [split for split, _ in pairs]
    assert list(found.classes) == ([name for _, name in pairs] if len(set(classes)) > 1 else [""] * len(pairs))
