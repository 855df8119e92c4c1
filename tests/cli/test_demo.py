"""genrev demo: the same commands as pipelines/grn.mk, resumed after a stop, one at a time, and the page is named or opened."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genrev_cli import cli
from genrev_cli.settings.demo import PAGE, chain

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_chain_is_that_of_the_pipeline(tmp_path):
    given = [
        "SOURCE=mnist-small", "DATA=demo/mnist-small.h5", "FEATURES=pixel", "N=1250", "DEVICE=cpu", "OUT=demo", "GENREV=genrev",
        "PRETRAIN=--init mnist --steps 60", "ADVERSARIAL=--steps 60", "EDIT=--toward 3 --fade 1",
    ]  # fmt: skip
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}  # of 'make test'
    words = ["make", "-n", "-f", ROOT / "pipelines/grn.mk", *given]
    done = subprocess.run(words, cwd=tmp_path, env=alone, capture_output=True, text=True, check=True)
    pipeline = [shlex.split(line)[1:] for line in done.stdout.splitlines()]
    assert [step.words for step in chain(Path("demo"), "cpu")] == pipeline, "change pipelines/grn.mk and settings/demo.py together"


def test_every_file_is_made_before_it_is_needed(tmp_path):
    there = set()
    for step in chain(tmp_path, "cpu"):
        assert set(step.needs) <= there, step.words
        assert step.made
        there |= set(step.made)
    assert tmp_path / PAGE in there


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """Run `genrev demo` with steps that only write their files: call it with options; returns its code and the commands that it ran."""
    real, calls, failing = cli.main, [], {}

    def main(words):
        if words[0] == "demo":
            return real(words)
        calls.append(words[0])
        if code := failing.get(words[0]):
            return code
        for step in chain(tmp_path / "d", "cpu"):
            if step.words == words:
                for path in step.made:
                    path.parent.mkdir(exist_ok=True)
                    if path.suffix:
                        path.write_text("x")
                    else:
                        path.mkdir(exist_ok=True)
                        (path / "genrev.json").write_text("x")
        return 0

    monkeypatch.setattr(cli, "main", main)

    def demo(*words, fail=None):
        calls.clear()
        failing.clear()
        failing.update(fail or {})
        return cli.main(["demo", str(tmp_path / "d"), *words]), list(calls)

    return demo


def test_a_stopped_demo_goes_on_where_it_stopped(steps, tmp_path, capsys):
    code, ran = steps(fail={"fit-ot": 130})
    assert (code, ran[-1]) == (130, "fit-ot")
    out, err = capsys.readouterr()
    assert out == ""
    assert "stopped at step 6 of 20; the same command goes on from there" in err
    code, ran = steps()
    assert (code, ran[0], ran[-1], len(ran)) == (0, "fit-ot", "report", 15)
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'd' / PAGE}\n"
    assert f"open {tmp_path / 'd' / PAGE} in a browser" in err
    assert steps() == (0, [])
    assert "nothing to do" in capsys.readouterr().err


def test_what_depends_on_a_file_that_is_gone_is_made_again(steps, tmp_path):
    steps()
    (tmp_path / "d/ot.safetensors").unlink()
    assert steps()[1] == ["fit-ot", "sample", "interpolate", "fid", "report"]


@pytest.mark.parametrize("found", [True, False])
def test_open_opens_a_browser_if_there_is_one(steps, tmp_path, monkeypatch, capsys, found):
    seen = []
    monkeypatch.setattr("webbrowser.open", lambda address: seen.append(address) or found)
    assert steps("--open")[0] == 0
    assert seen == [(tmp_path / "d" / PAGE).as_uri()]
    assert ("there is no browser here" in capsys.readouterr().err) is not found


def test_it_does_not_run_under_torchrun(steps, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert steps() == (2, [])
    assert "start it without torchrun" in capsys.readouterr().err


HOLDER = """
import sys, time
from genrev_cli import cli
from genrev_cli.cli import main as real

def main(words):
    if words[0] == "demo":
        return real(words)
    print("begun", flush=True)
    time.sleep(300)

cli.main = main
cli.main(["demo", sys.argv[1]])
"""


def test_two_demos_do_not_share_a_folder(steps, tmp_path, capsys):
    folder, environment = tmp_path / "d", {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE, text=True, env=environment) as first:
        try:
            assert first.stdout.readline() == "begun\n"
            second = subprocess.run([sys.executable, "-m", "genrev_cli", "demo", folder], capture_output=True, text=True, env=environment)
            assert (second.returncode, second.stdout, second.stderr.count("\n")) == (2, "", 1), second.stderr
            assert f"{folder}: process {first.pid} on " in second.stderr
            assert "is writing it; wait for that run, stop it, or choose another folder" in second.stderr
            assert steps() == (2, [])
        finally:
            first.send_signal(signal.SIGKILL)
    assert steps()[0] == 0  # the system has released the lock of the process that was killed
    assert steps() == (0, [])
    assert "nothing to do" in capsys.readouterr().err
    assert not list(folder.glob("*.lock"))


def test_a_complete_demo_needs_no_lock(steps, tmp_path, capsys):
    """Another person's folder may be read-only."""
    steps()
    (tmp_path / "d/demo.lock").mkdir()  # no lock can be taken
    assert steps() == (0, [])
    (tmp_path / "d" / PAGE).unlink()
    assert steps() == (3, [])
    assert "choose another folder" in capsys.readouterr().err
