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
def command(tmp_path, digits, write_space):
    """The words of a search of three trials on the digits, in seconds each."""
    space = write_space(LONG)
    options = "--trials 3 --pruner none --eval-every 20 --eval-n 50 --eval-features pixel --device cpu"
    options += " --log-every 10 --save-minutes 0.0001 --json"
    return ["search", str(space), "--data", str(digits), "--out", str(tmp_path / "search"), *options.split()]


def started(command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(genrev_cli.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-m", "genrev_cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def ended(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    return json.loads(out), err.decode()


def log_of(folder, number):
    return read_log(folder / "trials" / f"{number:04d}" / "pretrain-recon.safetensors.run" / "log.jsonl")


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come so far"
        time.sleep(0.02)


def table(result):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in result["tables"][0]["rows"]]


def test_a_killed_search_goes_on(tmp_path, command):
    whole, _ = ended(started([word.replace(str(tmp_path / "search"), str(tmp_path / "whole")) for word in command]))
    folder, process = tmp_path / "search", started(command)
    state = folder / "trials" / "0001" / "pretrain-recon.safetensors.run" / "state.safetensors"
    wait_for(state.exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 0 < log_of(folder, 1)[-1]["step"] < 40
    result, err = ended(started(command))
    assert "trial 1, which goes on: " in err
    assert "at step" in err
    assert table(result) == table(whole)
    assert result["trials"] == {"complete": 3}
    best = read_recipe(str(folder / "best.toml"))
    assert best["pretrain-recon"]["lr"] == result["best"]["settings"]["pretrain-recon.lr"]
    journal = (folder / "journal.log").read_bytes()
    again, err = ended(started(command))
    assert "is complete (3 trials); nothing to do" in err
    assert table(again) == table(whole)
    assert (folder / "journal.log").read_bytes() == journal


def test_two_processes_share_the_trials(tmp_path, command):
    first, second = started(command), started(command)
    outcomes = [ended(first), ended(second)]
    assert sum("trial 0: " in err for _, err in outcomes) == 1
    ran = [{int(word.split()[1].strip(":,")) for word in err.split("genrev: ") if word.startswith("trial ")} for _, err in outcomes]
    assert ran[0] | ran[1] == {0, 1, 2}
    assert not ran[0] & ran[1]
    assert all(ran), "both have trials"
    assert any(result["trials"] == {"complete": 3} for result, _ in outcomes)
    page = (tmp_path / "search" / "search.html").read_text()
    assert "3 complete" in page
    assert "running" not in page.partition('id="trials"')[2].partition("</table>")[0]
