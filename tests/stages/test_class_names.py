"""Classes by name: names of the checkpoint's header, else of its data's; numbers stay numbers."""

import pytest

from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header
from genrev_cli.store.class_names import class_names, class_numbers

PETS = ["Cat", "dog", "2", "dog house"]


def header(own=None, datas=None):
    inputs = {"data": {"path": "d.h5", "config": {"classes": datas}}} if datas is not None else {}
    return Header("checkpoint", {"classes": own} if own is not None else {}, "", inputs=inputs)


@pytest.mark.parametrize(
    ("own", "datas", "names"), [(PETS, ["x"], PETS), (None, PETS, PETS), ([], PETS, PETS), (None, None, []), (None, [], [])]
)
def test_where_names_come_from(own, datas, names):
    assert class_names(header(own, datas)) == names


@pytest.mark.parametrize(
    ("given", "numbers"),
    [(("dog",), (1,)), (("cat", "DOG"), (0, 1)), (("3", "0"), (3, 0)), (("dog house",), (3,)), ((), ()), (("2",), (2,)), (("12",), (12,))],
)
def test_names_and_numbers(given, numbers):
    assert class_numbers(given, header(PETS)) == numbers


def test_names_that_differ_in_case_only():
    assert class_numbers(("a", "A"), header(["A", "a"])) == (1, 0)


def test_a_number_that_is_another_class_s_name_is_told():
    said = []
    assert class_numbers(("1",), header(["1", "2", "3"]), said.append) == (1,)
    assert said == ["--class 1: is taken as class number 1 ('2'); the class named '1' has number 0"]


@pytest.mark.parametrize(
    ("names", "word", "sentence"),
    [
        (PETS, "dgo", "--class dgo: no such class; did you mean dog? the classes are Cat, dog, 2, dog house"),
        (PETS, "-1", "--class -1: no such class"),
        ([], "cat", "the checkpoint knows no names of classes; give a number"),
        ([f"class {i}" for i in range(30)], "x", r"class 19, … \(30 in all\)"),
    ],
)
def test_an_unknown_name(names, word, sentence):
    with pytest.raises(UsageError, match=sentence.replace("?", r"\?")):
        class_numbers((word,), header(names))
