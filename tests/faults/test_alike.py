"""What torture.py and crowds.py compare: times may differ between two runs, numbers and files may not."""

import json

import pytest
from alike import contents, differences

from genrev_cli.files.header import Header
from genrev_cli.files.pictures import json_digest, write_json


def left(folder, numbers, names=("a.json",)):
    """What a run leaves that wrote these numbers."""
    folder.mkdir()
    for name in names:
        write_json(folder / name, numbers, Header("sweep", {"split": "test"}, json_digest(numbers), 0, made_by={"seconds": 1}))
    return contents(folder)


def row(**changed):
    return {"tables": [{"rows": [{"d": 2, "L1": 0.25, "seconds": 3.5} | changed]}]}


def test_times_may_differ(tmp_path):
    assert differences(left(tmp_path / "one", row()), left(tmp_path / "other", row(seconds=4.5))) == []


@pytest.mark.parametrize("numbers", [row(L1=0.26), row(d=4), {"tables": []}, {}])
def test_numbers_may_not(tmp_path, numbers):
    (sentence,) = differences(left(tmp_path / "one", row()), left(tmp_path / "other", numbers))
    assert sentence.startswith("a.json differs")


def test_a_digest_without_times_is_compared(tmp_path):
    one = left(tmp_path / "one", {"value": 1.0})
    changed = json.loads((tmp_path / "one/a.json").read_text())
    changed["genrev"]["sha256"] = "0" * 64
    (tmp_path / "one/a.json").write_text(json.dumps(changed))
    assert differences(one, contents(tmp_path / "one"))


def test_files_may_not_be_missing_or_left_over(tmp_path):
    one, other = left(tmp_path / "one", row()), left(tmp_path / "other", row(), names=("b.json",))
    assert differences(one, other) == ["a.json is missing", "b.json was left over"]
