"""Pipelines: words with any character reach the command, names that make cannot carry are refused, every target is kept after Ctrl-C,
and -j 8 starts no command before its inputs are there.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIPELINES = ("aeot", "grn", "grn-ot", "pretrained", "seeds")
ODD = "a&b'(c)\"`<>!{d},@+^ü"
"""A folder's name that means much to a shell and nothing to make."""

# Instead of genrev: it notes its words, requires that all of its inputs exist, and writes its targets.
STUB = """
import json, os, sys, time
words = sys.argv[1:]
with open("calls.jsonl", "a") as file:
    file.write(json.dumps(words) + chr(10))
targets = [words[i + 1] for i, word in enumerate(words) if word in ("--out", "--grid")]
for word in words:
    made = word.endswith((".safetensors", ".h5", ".json", ".png")) or word.endswith("/samples")
    if made and word not in targets and not os.path.exists(word):
        sys.exit(f"{word} does not exist yet: {words}")
time.sleep(float(os.environ.get("PAUSE", 0)))
for target in targets:
    if target.endswith("/samples"):
        os.makedirs(target, exist_ok=True)
        target += "/genrev.json"
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    open(target, "w").close()
print("written", flush=True)
time.sleep(float(os.environ.get("AFTER", 0)))
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def make(tmp_path):
    """(pipeline, values, options) → the words of a make whose genrev is the stub, and how to start it."""
    (tmp_path / "stub.py").write_text(STUB)
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}  # of 'make test'

    def started(name, *values, options=(), **environment):
        genrev = f"GENREV={sys.executable} -S -E {tmp_path}/stub.py"
        words = ["make", "--no-print-directory", *options, "-f", str(ROOT / f"pipelines/{name}.mk"), genrev, *values]
        return subprocess.Popen(
            words, cwd=tmp_path, env={**alone, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    return started


def values(name, folder, tmp_path):
    """Return where a pipeline reads and writes."""
    if name == "seeds":
        start = tmp_path / folder / "start.safetensors"
        start.parent.mkdir(exist_ok=True)
        start.touch()
        return [f"CKPT={folder}/start.safetensors"]
    return [f"OUT={folder}/out", f"DATA={folder}/data.h5", *([f"SOME={folder}/some.h5", f"INTO={folder}/into"] * (name == "pretrained"))]


def calls(tmp_path):
    return [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", PIPELINES)
def test_odd_names_work_and_eight_commands_at_once_wait_for_their_inputs(make, tmp_path, name):
    given = values(name, ODD, tmp_path)
    process = make(name, *given, options=["-j8"], PAUSE="0.01")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    made = {path.name for path in (tmp_path / ODD).rglob("*") if path.is_file()}
    assert len(made) > 4
    again = make(name, *given)
    said, _ = again.communicate(timeout=60)
    assert (again.returncode, "Nothing to be done" in said) == (0, True), said
    assert {path.name for path in tmp_path.iterdir()} == {"stub.py", "calls.jsonl", ODD}


def test_what_only_commands_read_may_have_any_character_but_a_line_end(make, tmp_path):
    folder = "my $photos #1: 100% 'best'"
    process = make("grn", f"SOURCE_PATH={folder}", "OUT=out", "DATA=data.h5", options=["data.h5"])
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    (words,) = calls(tmp_path)
    assert words[:4] == ["prepare-data", "digits", "--path", folder]
    process = make("grn", "SOURCE_PATH=a\nb", "OUT=out", "DATA=data.h5")
    assert "SOURCE_PATH: its value has a line end" in process.communicate(timeout=60)[0]


@pytest.mark.parametrize("special", [" ", "\t", "\n", "$", "$x", ":", "%", "*", "?", "[", "]", "\\", "~", "|", ";", "=", "#"])
def test_names_that_make_cannot_carry_are_refused(make, tmp_path, special):
    process = make("grn", f"OUT=a{special}b", "DATA=data.h5")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "make cannot carry" in said
    assert [path.name for path in tmp_path.iterdir()] == ["stub.py"]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_target_is_kept_when_its_command_is_interrupted(make, tmp_path, name):
    said, _ = make(name, *values(name, "x", tmp_path), "PRIOR=yes", options=["-n", "-p"]).communicate(timeout=60)
    about = dict(re.findall(r"\n(x/[^\n:%]+):[^\n]*\n((?:#[^\n]*\n)+)", said))
    made = {target for target, notes in about.items() if "recipe to execute" in notes}
    assert len(made) > 4 or name == "seeds"
    assert {target for target in made if "Precious file" not in about[target]} == set()


def test_ctrl_c_leaves_what_was_written(make, tmp_path):
    """make deleted genrev.json from the folder of samples, which no later run would replace then."""
    process = make("grn", "OUT=out", "DATA=data.h5", options=["out/samples/genrev.json"])
    process.communicate(timeout=60)
    mark = tmp_path / "out" / "samples" / "genrev.json"
    os.utime(tmp_path / "out" / "adversarial.safetensors", (time.time() + 60,) * 2)
    process = make("grn", "OUT=out", "DATA=data.h5", options=["out/samples/genrev.json"], AFTER="30")
    while "written" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode
    assert mark.exists()
