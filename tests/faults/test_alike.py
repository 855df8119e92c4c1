"""What torture.py and crowds.py compare: times may differ between two runs, numbers and files may not."""

import json

import pytest
from alike import contents, differences

from genrev_cli.files.header import Header
from genrev_cli.files.page import SLOT, write_page
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


def page(folder, html, *, kind="report", sha256=""):
    """What a run leaves that wrote this page."""
    folder.mkdir()
    inputs = {"best": Header("recipe", {}, sha256).as_input(folder / "best.toml")}
    write_page(folder / "search.html", f"<html><head>{SLOT}</head><body>{html}</body></html>", Header(kind, {}, "", 0, inputs=inputs))
    return contents(folder)


def test_durations_and_digests_of_pages_may_differ(tmp_path):
    one, other = (
        page(tmp_path / name, f"<td>{text}</td>", sha256=digit * 64)
        for name, text, digit in (
            ("one", "3.5 s, commit 0123456789ab", "1"),
            ("other", "1 min 12 s, commit 0123456789cd with changes", "2"),
        )
    )
    assert differences(one, other) == []


@pytest.mark.parametrize("changed", [{"html": "gave 3.5 s"}, {"kind": "card"}])
def test_words_and_kinds_of_pages_may_not(tmp_path, changed):
    given = {"html": "took 3.5 s"}
    assert differences(page(tmp_path / "one", **given), page(tmp_path / "other", **{**given, **changed}))


def test_a_page_must_match_its_header(tmp_path):
    page(tmp_path / "one", "took 3.5 s")
    path = tmp_path / "one/search.html"
    path.write_text(path.read_text().replace("3.5", "4.5"))
    assert contents(tmp_path / "one")["search.html"].startswith("damaged")
