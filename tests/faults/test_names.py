"""Unusual file names and header texts: commands accept them, and print them on one line without control characters."""

import io
import json
import os

import numpy as np
import pytest
from surroundings import left_behind

from genrev_cli.cli import console
from genrev_cli.cli.bars import Bars
from genrev_cli.cli.stderr import visible
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header

NAMES = {
    "letters": "  ü 中文 🙂 [a-z]*?{b}$HOME~%s",
    "dash": "-x",
    "controls": "a\nb\r\nc\x1b[31m\x1b]0;title\x07\x9b2J\u202e\u2028",
    "long": "x" * 226,
}
NO_TEXT = os.fsdecode(b"\xff\xfe \xe4")


def assert_harmless(text):
    assert [line for line in text.split("\n") if not line.isprintable()] == []


@pytest.fixture
def speak(run, tmp_path, monkeypatch):
    """A function that runs a command in `tmp_path`, and checks that it succeeds and prints no control characters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "stdout_shows", lambda: True)

    def command(*words):
        outcome = run(*words)
        assert outcome.code == 0, outcome.err
        assert_harmless(outcome.err + outcome.out)
        return outcome

    return command


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_all_commands_accept_unusual_names(sound, speak, tmp_path, name):
    """All files from the data to the report have this name, in a folder with this name."""
    folder = name[:100]
    (tmp_path / folder).mkdir()
    suffixes = (".h5", ".safetensors", ".codes.h5", "", ".png", ".json", ".html")
    files = data, model, codes, samples, grid, score, page = [f"./{folder}/{name}{suffix}" for suffix in suffixes]
    train = ("pretrain-recon", "--data", data, "--recipe", sound / "tiny.toml", "--device", "cpu", "--log-every", 1, "--out", model)
    speak("prepare-data", "digits", "--limit", 40, "--out", data)
    speak(*train)
    assert "resuming" in speak(*train, "--steps", 3).err
    speak("encode", "--ckpt", model, "--device", "cpu", "--out", codes)
    for _ in range(2):
        speak("sample", "--ckpt", model, "-n", 3, "--grid", grid, "--device", "cpu", "--out", samples)
    speak("fid", samples, "--ref", data, "--split", "train", "--features", "pixel", "--no-cache", "--out", score)
    speak("report", model, score, grid, "--out", page)
    for path in files:
        speak("info", path, "--verify")
    assert left_behind(tmp_path) == []


def test_names_that_are_not_utf8_are_accepted_or_refused_at_the_start(sound, speak, run, tmp_path):
    """Commands accept them if the library below does, and otherwise refuse them before any work."""
    speak("prepare-data", "digits", "--limit", 40, "--out", NO_TEXT + ".h5")
    speak("encode", "--ckpt", sound / "m.safetensors", "--data", sound / "data.h5", "--device", "cpu", "--out", NO_TEXT + ".codes.h5")
    speak("sample", "--ckpt", sound / "m.safetensors", "-n", 3, "--grid", NO_TEXT + ".png", "--device", "cpu", "--out", NO_TEXT)
    speak("fid", NO_TEXT, "--ref", NO_TEXT + ".h5", "--split", "train", "--features", "pixel", "--no-cache", "--out", NO_TEXT + ".json")
    speak("report", NO_TEXT + ".json", NO_TEXT + ".png", "--out", NO_TEXT + ".html")
    for suffix in ("", ".h5", ".codes.h5", ".png", ".json", ".html"):
        speak("info", NO_TEXT + suffix, "--verify")
    outcome = run("pretrain-recon", "--data", NO_TEXT + ".h5", "--recipe", sound / "tiny.toml", "--out", NO_TEXT + ".safetensors")
    assert outcome.code == 3
    assert outcome.error == r"genrev: error: \udcff\udcfe \udce4.safetensors: the name of a .safetensors file must be UTF-8; rename it"
    assert not [name for name in os.listdir(tmp_path) if "safetensors" in name]


@pytest.fixture
def foreign(tmp_path):
    """A file whose header has control sequences of terminals."""
    evil = "\x1b[2J\x1b]0;gone\x07\r\nverified  all of it\x9b31m"
    source = {"path": evil, "kind": evil, "sha256": evil, "config": {evil: evil}}
    header = Header(
        "codes",
        {evil: evil, "list": [evil]},
        "",
        0,
        inputs={evil: source},
        made_by={"command": evil, "utc": evil, "git": evil, "seconds": 1},
    )
    with hdf5.writing(tmp_path / "foreign.h5", header) as writer:
        writer.create("rows", (1,), "int64")
        writer.write("rows", 0, np.zeros(1, np.int64))
    return tmp_path / "foreign.h5"


def test_control_sequences_in_a_header_are_escaped(speak, foreign):
    shown = speak("info", foreign).out
    assert r"\x1b[2J\x1b]0;gone\x07\r\nverified  all of it\x9b31m" in shown
    assert not [line for line in shown.splitlines() if line.startswith("verified")]
    (line,) = speak("info", foreign, "--json").out.splitlines()
    assert "\x1b[2J" in next(iter(json.loads(line)["config"]))


def test_an_error_about_a_header_is_one_line(run, sound, foreign):
    outcome = run("sample", "--ckpt", sound / "m.safetensors", "--ot", foreign, "--out", foreign.with_name("out"))
    assert outcome.code == 3
    assert_harmless(outcome.err)
    assert len(outcome.err.splitlines()) == 1


def test_a_traceback_has_no_control_characters(run, tmp_path):
    outcome = run("info", tmp_path / "\x1b[31m.h5", "--debug", traceback=True)
    assert "Traceback" in outcome.err
    assert_harmless(outcome.err)


def test_the_title_of_a_bar_has_no_control_characters(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    with Bars().task("a\x1b[31mb\nc", 1) as bar:
        bar.advance()
    assert r"a\x1b[31mb\nc" in terminal.getvalue()


@pytest.mark.parametrize("text", ["plain ü 中", "", "a  b"])
def test_printable_text_is_not_changed(text):
    assert visible(text) == text


@pytest.mark.parametrize("name", ["x" * 253 + ".h5", "x/" * 2500 + "a.h5"])
def test_a_name_that_is_too_long_is_an_error(run, sound, tmp_path, name):
    outcome = run("encode", "--ckpt", sound / "m.safetensors", "--device", "cpu", "--out", tmp_path / name)
    assert outcome.code == 3
    assert outcome.error.endswith(f"{name}: File name too long")
    assert list(tmp_path.iterdir()) == []
