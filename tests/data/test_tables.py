"""Tables about images: how they are read, matched to images, and turned into classes, attributes and splits."""

import csv
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrev_cli.data.labels import join, match, read_columns, read_splits
from genrev_cli.data.table import Table, read_table
from genrev_cli.errors import FileError, UsageError

ROWS = [("a.png", "cat"), ("b c.png", "dog"), ("d.png", "Löwe")]
TEXT = {
    "csv": "name,label\na.png,cat\nb c.png,dog\nd.png,Löwe\n",
    "no header": "a.png,cat\nb c.png,dog\nd.png,Löwe",
    "semicolons": "name;label\na.png;cat\nb c.png;dog\nd.png;Löwe\n",
    "tabs": "name\tlabel\na.png\tcat\nb c.png\tdog\nd.png\tLöwe\n",
    "spaces": "a.png cat\nb c.png dog\nd.png Löwe\n",
    "quotes": '"name","label"\r\n"a.png","cat"\r\n"b c.png","dog"\r\n"d.png","Löwe"\r\n',
    "empty lines": "\na.png , cat\n\nb c.png,dog\n , \nd.png,Löwe\n\n",
}


def read(text, name="x.csv", encoding="utf-8"):
    return read_table(text.encode(encoding), name, "x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("kind", TEXT)
def test_text_in_any_dress_is_the_same_table(kind, encoding):
    rows = list(read(TEXT[kind], encoding=encoding).rows)
    assert rows[-3:] == ROWS
    assert rows[:-3] in ([], [("name", "label")])


JSON = {
    "StyleGAN": {"labels": [[name, label] for name, label in ROWS]},
    "pairs": [list(row) for row in ROWS],
    "name to label": dict(ROWS),
    "records": [{"file_name": name, "label": label} for name, label in ROWS],
    "name to record": {name: {"label": label, "box": [1, [2]]} for name, label in ROWS},
    "lists of one": {name: [label] for name, label in ROWS},
}


@pytest.mark.parametrize("kind", JSON)
def test_json_in_any_layout_is_the_same_table(kind):
    table = read(json.dumps(JSON[kind]), "x.json")
    assert list(table.rows) == ROWS
    assert len(table.columns) == 2


def test_jsonl_vectors_and_missing_values():
    table = read('{"file_name": "a.png", "on": true, "v": [1, 0.5]}\n\n{"file_name": "b.png", "on": null}\n', "x.jsonl")
    assert table == Table([("a.png", "1", "1", "0.5"), ("b.png", "", "", "")], ("file_name", "on", "v[0]", "v[1]"))
    assert read('{"labels": null}', "dataset.json") == Table([], ("name", "label"))


def test_a_list_that_begins_with_its_length_is_celebas():
    table = read("2\nMale Young\n000001.jpg -1  1\n000002.jpg  1 -1\n", "x.txt")
    assert table == Table([("000001.jpg", "-1", "1"), ("000002.jpg", "1", "-1")], ("name", "Male", "Young"))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "x.csv", "has no rows"),
        ("a.png\nb.png\n", "x.csv", "one column"),
        ("a.png,1\nb.png,1,2\n", "x.csv", "row 2 has 3 columns, but others have 2"),
        ("{", "x.json", "not valid JSON"),
        ("[" * 100_000, "x.json", "not valid JSON"),
        ('{"a": 1}\n{', "x.jsonl", "not valid JSON"),
        ("[1, 2]", "x.json", "entry 1 is neither"),
        ("7", "x.json", "holds no list"),
        ('[["a.png", 1], "b"]', "x.json", "entry 2 is neither"),
        ("a.png\0,1", "x.csv", "not a text file"),
    ],
)
def test_what_is_no_table_is_refused(text, name, message):
    with pytest.raises(FileError, match=f"x: .*{message}"):
        read(text, name)


def test_other_encodings_are_refused():
    with pytest.raises(FileError, match="save it as UTF-8"):
        read("a.png,Löwe", encoding="latin-1")


@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.json", "x.txt", "x.jsonl", "x.tsv"]))
def test_any_bytes_are_a_table_or_an_error(data, name):
    try:
        table = read_table(data, name, "x")
    except FileError:
        return
    assert {len(row) for row in table.rows} <= {len(table.columns or table.rows[0])}


# --- matching

IMAGES = ["train/cat/1.png", "train/dog/2.PNG", "test/cat/3.jpg"]


@pytest.mark.parametrize(
    "names",
    [
        IMAGES,
        ["train/cat/1", "train/dog/2", "test/cat/3"],
        ["1.png", "2.PNG", "3.jpg"],
        ["1", "2", "3"],
        ["/home/me/set/train/cat/1.png", "/home/me/set/train/dog/2.PNG", "/home/me/set/test/cat/3.jpg"],
        ["./train\\cat\\1.png", "train\\dog\\2.PNG", "test\\cat\\3.jpg"],
        ["cat/1.jpeg", "dog/2.jpeg", "cat/3.jpeg"],
    ],
)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("header", [True, False])
def test_rows_find_their_images_by_path_or_name(names, place, header):
    rows = [(name, label)[:: -1 if place else 1] for name, label in zip(names, "xyx", strict=True)]
    matched = match(Table([("id", "kind")[:: -1 if place else 1]] * header + rows), IMAGES, "x")
    assert list(matched.columns.values()) == [["x", "y", "x"]]
    assert not matched.unmatched_images
    assert not matched.unmatched_rows


def test_labels_that_look_like_names_are_not_taken_for_them():
    images = [f"{i}.png" for i in range(30)]
    matched = match(Table([(str(i % 10), str(i)) for i in range(30)]), images, "x")
    assert matched.columns == {"column 1": [str(i % 10) for i in range(30)]}


def test_names_that_occur_twice_need_their_folder():
    images = ["a/1.png", "b/1.png", "b/2.png"]
    assert match(Table([("1.png", "x"), ("2.png", "y")]), images, "x").columns == {"column 2": ["", "", "y"]}
    assert match(Table([("a/1.png", "x"), ("b/1.png", "y")]), images, "x").columns == {"column 2": ["x", "y", ""]}


def test_what_has_no_partner_is_listed_and_nothing_in_common_is_no_match():
    matched = match(Table([("a.png", "x"), ("lost.png", "x"), ("b.png", "y")]), ["a.png", "b.png", "c.png"], "x")
    assert (matched.unmatched_images, matched.unmatched_rows) == (["c.png"], ["lost.png"])
    assert match(Table([("q.png", "x")]), ["a.png"], "x") is None


def test_different_rows_of_an_image_are_refused():
    assert match(Table([("a.png", "x"), ("a.png", "x")]), ["a.png"], "x").columns == {"column 2": ["x"]}
    with pytest.raises(FileError, match=r"x: has different rows for a.png"):
        match(Table([("a.png", "x"), ("a.png", "y")]), ["a.png"], "x")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), min_size=1, max_size=40, unique=True), st.randoms(use_true_random=False)
)
def test_a_shuffled_table_comes_back_in_the_order_of_the_images(pairs, random):
    images = [f"{folder}/{number}.png" for folder, number in pairs]
    values = [f"v{i}" for i in range(len(images))]
    rows = list(zip(images, values, strict=True))
    random.shuffle(rows)
    out = io.StringIO()
    csv.writer(out).writerows([("file", "what"), *rows])
    assert match(read(out.getvalue()), images, "x").columns == {"what": values}


# --- columns


def test_one_column_is_the_class_even_with_two_values():
    labels = read_columns({"x": ["1", "0", "nan"]})
    assert (labels.classes, labels.column, labels.names) == (["1", "0", ""], "", ())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-1", "-1", ""], [1, 0, 0, -1]),  # as CelebA
        (["1", "0", "-1", ""], [1, 0, -1, -1]),
        (["True", "false", "no", "YES"], [1, 0, 0, 1]),
        (["1.0", "0.0", "nan", "1"], [1, 0, -1, 1]),
    ],
)
def test_of_several_columns_those_with_two_values_are_attributes(values, expected):
    labels = read_columns({"Male": values, "kind": ["a", "b", "a", "b"]})
    assert labels.attributes.dtype == np.int8
    assert labels.attributes.tolist() == [[value] for value in expected]
    assert (labels.names, labels.classes, labels.column) == (("Male",), ["a", "b", "a", "b"], "kind")


def test_all_columns_together_decide_what_minus_one_means():
    labels = read_columns({"a": ["-1", "1"], "b": ["0", "1"]})
    assert labels.attributes.tolist() == [[-1, 0], [1, 1]]
    assert labels.classes is None


def test_the_class_column_is_chosen_by_name_or_by_option():
    columns = {"breed": ["a", "b"], "colour": ["x", "y"]}
    with pytest.raises(UsageError, match="x: the columns 'breed', 'colour' can each be the class; choose one with --label-column NAME"):
        read_columns(columns, where="x")
    labels = read_columns(columns, label_column="colour")
    assert (labels.classes, labels.unused) == (["x", "y"], {"breed": "is not the chosen class"})
    assert read_columns({**columns, "Label": ["p", "q"]}).column == "Label"
    with pytest.raises(UsageError, match="--label-column size: x has no such column; choose breed, colour"):
        read_columns(columns, label_column="size", where="x")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([f"a photo of {i}" for i in range(50)], "has 50 different values for 50 images"),
        ([f"{i / 7}" for i in range(50)], "has real numbers"),
        (["train"] * 25 + ["test"] * 25, "names splits; pass the table as --split-file to use it"),
        ([""] * 50, "is empty"),
    ],
)
def test_other_columns_are_not_used(values, why):
    labels = read_columns({"other": values, "label": ["a", "b"] * 25})
    assert (labels.column, labels.unused) == ("label", {"other": why})
    assert read_columns({"other": values}).classes is None


def test_vectors_of_stylegan_are_classes_if_one_hot_and_attributes_else():
    assert read_columns({"label[0]": ["1", "0", ""], "label[1]": ["0", "1", ""]}).classes == ["0", "1", ""]
    labels = read_columns({"label[0]": ["1", "0"], "label[1]": ["1", "1"]})
    assert (labels.classes, labels.attributes.tolist(), labels.names) == (None, [[1, 1], [0, 1]], ("label[0]", "label[1]"))


def test_tables_of_several_folders_are_joined():
    first, second = (match(Table([("1.png", label)], ("f", "label")), ["1.png"], "x") for label in "ab")
    assert join([([0], first), ([2], second)], 3) == {"label": ["a", "", "b"]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Train", "validation", "", "TEST"], ["train", "val", "", "test"]),
        (["0", "1", "2", "0"], ["train", "val", "test", "train"]),
    ],
)
def test_splits_are_read_from_the_column_that_names_them(values, expected):
    assert read_splits({"label": ["a", "b", "c", "d"], "set": values}, "x") == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"set": ["train", "other"]}, "no column of splits; one must say train, val or test for each image (it has set = 'train')"),
        ({"a": ["train"], "b": ["test"]}, "2 columns of splits (a, b); pass a table with one of them"),
        ({}, "no column of splits"),
    ],
)
def test_a_table_without_one_column_of_splits_is_refused(columns, message):
    with pytest.raises(FileError, match=re.escape(f"x: has {message}")):
        read_splits(columns, "x")
