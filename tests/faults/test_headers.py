"""Headers with a right checksum and wrong values: refused in one sentence, or read where the value is not needed.

`python tests/faults/header_mutations.py --n 2000` tries more.
"""

import pytest
from header_mutations import attack

from genrev_cli.errors import FileError
from genrev_cli.files.header import Header, parse_header, require_kind

MADE = {"command": "genrev", "seconds": 1.0}


def test_changed_values_are_no_bug_of_ours(sound):
    assert attack(sound, 60, seed=0) == []


@pytest.mark.parametrize(
    ("kind", "config", "made_by", "said"),
    [
        ("data", {"counts": 5}, {}, "'counts' is not a table of counts"),
        ("data", {"counts": {"train": [1]}}, {}, "'counts' is not a table of counts"),
        ("data", {"source": {"name": 5}}, {}, "'source.name' is not text"),
        ("checkpoint", {"prior": True}, {}, "'prior' is not a table"),
        ("checkpoint", {"model": {"image_shape": [1, 8]}}, {}, "'model.image_shape' is not a shape"),
        ("score", {}, {"git": [1]}, "'git' is not text"),
        ("score", {}, {"utc": 5}, "'utc' is not text"),
        ("score", {}, {"seconds": float("nan")}, "'seconds' is not a number"),
        ("score", {}, {"seed": True}, "'seed' is not a count"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_the_wrong_value_is_named(tmp_path, kind, config, made_by, said, deep):
    header = Header(kind, config, "", made_by={**MADE, **made_by})
    if deep:
        header = Header("picture", {}, "", inputs={"one": header.as_input(tmp_path)}, made_by=MADE)
    with pytest.raises(FileError, match=f"a.png: damaged: in its header {said}"):
        parse_header(header.to_json(), tmp_path / "a.png")


@pytest.mark.parametrize("config", [{}, {"later": [1, {"x": None}]}, {"classes": None}, {"classes": ["a"]}])
def test_other_values_are_read(tmp_path, config):
    header = Header("data", config, "", made_by={**MADE, "later": [1]})
    assert parse_header(header.to_json(), tmp_path / "a.h5") == header


def test_data_without_the_name_of_their_source_are_refused(tmp_path):
    config = {"source": {"path": "x"}, "image_shape": [1, 8, 8]}
    with pytest.raises(FileError, match="its header has no valid 'source'"):
        require_kind(Header("data", config, ""), "data", tmp_path / "a.h5", "genrev prepare-data")
