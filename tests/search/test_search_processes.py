"""search in processes of its own: killed in the middle of a trial, and two at once in one folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from search_cases import SPACE

import genrev_cli
from genrev_cli.cli import main
from genrev_cli.config import read_recipe
from genrev_cli.training.log import read_log

pytest.importorskip("optuna", reason="search needs optuna")

pytestmark = pytest.mark.slow

LONG = SPACE.replace("{{ choices = [4, 8] }}", "{{ choices = [32, 64] }}").replace("steps = 6", "steps = 40")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.h5"
    assert main(["prepare-data", "digits", "--out", str(path)]) == 0
    return path


@pytest.fixture
def words(tmp_path, digits, write_space):
    """(folder) → the words of a search of three trials on the digits, in a folder beside the others."""
    space = write_space(LONG)

    def words(folder):
        options = "--trials 3 --pruner none --eval-every 20 --eval-n 50 --eval-features pixel --device cpu"
        options += " --log-every 10 --save-minutes 0.0001 --json"
        return ["search", str(space), "--data", str(digits), "--out", str(tmp_path / folder), *options.split()]

    return words


@pytest.fixture
def here(capsys):
    """(words) → the result of a command in this process, and what it prints to stderr."""

    def run(words):
        capsys.readouterr()
        assert main(words) == 0
        out, err = capsys.readouterr()
        return json.loads(out), err

    return run


def started(words):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(genrev_cli.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-m", "genrev_cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def wait_for(path, seconds=300):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not appear"
        time.sleep(0.01)


def table(result):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in result["tables"][0]["rows"]]


def test_a_killed_search_goes_on(tmp_path, words, here):
    whole, _ = here(words("whole"))
    folder, process = tmp_path / "search", started(words("search"))
    run = folder / "trials" / "0001" / "pretrain-recon.safetensors.run"
    wait_for(run / "state.safetensors")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 0 < read_log(run / "log.jsonl")[-1]["step"] < 40
    result, err = here(words("search"))
    assert "trial 1, which goes on: " in err
    assert "pretrain-recon.safetensors at step" in err
    assert table(result) == table(whole)
    assert result["trials"] == {"complete": 3}
    assert read_recipe(str(folder / "best.toml"))["pretrain-recon"]["lr"] == result["best"]["settings"]["pretrain-recon.lr"]
    journal = (folder / "journal.log").read_bytes()
    again, err = here(words("search"))
    assert "is complete (3 trials); nothing to do" in err
    assert table(again) == table(whole)
    assert (folder / "journal.log").read_bytes() == journal


def test_two_processes_share_the_trials(tmp_path, words, here):
    process = started(words("search"))
    wait_for(tmp_path / "search" / "trials" / "0000" / "lock")
    _, err = here(words("search"))
    printed, told = process.communicate(timeout=300)
    assert process.returncode == 0, told.decode()
    mine, theirs = trials_in(err), trials_in(told.decode())
    assert mine | theirs == {0, 1, 2}
    assert not mine & theirs
    assert mine
    assert theirs
    result, _ = here(words("search"))
    assert result["trials"] == {"complete": 3}
    page = (tmp_path / "search" / "search.html").read_text()
    assert "3 complete" in page
    assert json.loads(printed)["out"] == str(tmp_path / "search" / "search.html")


def trials_in(err):
    """The numbers of the trials that a process has run, by what it prints."""
    return {int(line.split()[2].strip(":,")) for line in err.splitlines() if line.startswith("genrev: trial ")}
