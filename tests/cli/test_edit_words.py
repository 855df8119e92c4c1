"""Edits as words of options: what is read, what is refused, and that words of edits give the same edits again."""

import math
from pathlib import Path

import pytest

from genrev_cli.errors import UsageError
from genrev_cli.settings.edits import Edits, edits_of, parsed, words_of

EDITS = [
    Edits(),
    Edits(move=(("glasses", 2.0), ("pc1", -0.1), ("a=b", 1e-7)), dims=((3, -1.5), (0, 0.0))),
    Edits(toward=(("7", 1.0), ("other.jpg", 0.5), ("x=1.jpg", 1 / 3), ("two=0.5", 1.0)), like=("a.jpg", "b c.png"), unlike=("d=1.jpg",)),
    Edits(move=(("x", -0.0), ("y", 123456.789125))),
]


def options(words):
    """Return flag → values, as the command line reads repeated options."""
    names = {"--move": "move", "--dim": "dims", "--toward": "toward", "--like": "like", "--unlike": "unlike"}
    found = {name: [] for name in names.values()}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        found[names[flag]].append(value)
    return found


@pytest.mark.parametrize("edits", EDITS)
def test_words_are_read_as_the_same_edits(edits):
    assert parsed(**options(words_of(edits))) == edits


def test_the_words_are_those_that_a_person_would_write():
    edits = Edits(move=(("glasses", 2.0),), dims=((3, -1.5),), toward=(("7", 0.5),))
    assert words_of(edits) == ["--move", "glasses=+2", "--dim", "3=-1.5", "--toward", "7=0.5"]


def test_python_users_write_tables():
    edits = edits_of(
        move={"glasses": 2}, dim={3: -1.5}, toward={"7": 0.5, Path("me.jpg"): 1}, like="a.jpg", unlike=[Path("b.jpg"), "c.jpg"]
    )
    assert edits == Edits((("glasses", 2.0),), ((3, -1.5),), (("7", 0.5), ("me.jpg", 1.0)), ("a.jpg",), unlike=("b.jpg", "c.jpg"))
    assert edits_of(toward=7) == edits_of(toward="7") == Edits(toward=(("7", 1.0),))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"move": ["glasses"]}, "--move glasses: write NAME=+2, in standard deviations"),
        ({"move": ["=2"]}, "--move =2: write NAME=+2"),
        ({"move": ["glasses=much"]}, "--move glasses=much: write NAME=+2"),
        ({"move": ["glasses=nan"]}, "--move glasses=nan: must be from -1e+06 to 1e+06"),
        ({"dims": ["x=2"]}, "--dim x: is not a number of an active dimension; write 3=-1.5"),
        ({"dims": ["-1=2"]}, "--dim -1: is not a number"),
        ({"toward": ["a.jpg=inf"]}, "--toward a.jpg=inf: must be from"),
        ({"like": ["a.jpg"]}, "--like a.jpg: the difference of two pictures is added; pass --unlike too"),
        ({"unlike": ["a.jpg"]}, "--unlike a.jpg: the difference of two pictures is added; pass --like too"),
    ],
)
def test_other_words_are_refused(given, sentence):
    with pytest.raises(UsageError) as error:
        parsed(**given)
    assert str(error.value).startswith(sentence)


def test_numbers_of_python_users_are_checked_too():
    with pytest.raises(UsageError, match="--move x=nan: must be from"):
        edits_of(move={"x": math.nan})
