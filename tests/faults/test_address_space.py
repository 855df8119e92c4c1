"""RLIMIT_AS (ulimit -v) just above what is in use, where libraries would hang or say something else than that memory is short."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genrev_cli import memory
from genrev_cli.cli import _explain
from genrev_cli.files.writers import write_codes
from genrev_cli.memory import has_room, require_room_for_algebra

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")

CHILD = """
import json, os, resource, sys, time
import numpy
import sklearn.linear_model, sklearn.mixture, sklearn.neighbors
from genrev_cli.cli import main
import genrev_cli.cli.commands, genrev_cli.stages.fit_directions, genrev_cli.stages.fit_gmm, genrev_cli.stages.probe

def ended(line, megabytes):
    # run a command in a fork, whose limit is so many megabytes above what is in use; one that does not end is killed by its limit of time
    process = os.fork()
    if not process:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 10**6,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        os._exit(main(line.split()))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

print(json.dumps([ended(*case) for case in json.load(sys.stdin)]))
"""

LINES = {
    "fit-gmm": "fit-gmm {w}/codes.h5 --components 2 --out {w}/{n}.safetensors",
    "probe": "probe {w}/codes.h5 --repeats 1 --out {w}/{n}.json",
    "fit-directions": "fit-directions {w}/codes.h5 --method normal --out {w}/{n}.safetensors",
}


def test_commands_that_use_scikit_learn_end(tmp_path):
    """OpenBLAS asks for a buffer of 32 MiB again and again if it does not get it."""
    write_codes(tmp_path / "codes.h5", np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32), labels=np.arange(300) % 3)
    cases = [(line.format(w=tmp_path, n=f"{name}-{left}"), left) for name, line in LINES.items() for left in (2, 20, 30, 1000)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr
    codes = dict(zip(((line.split()[0], left) for line, left in cases), json.loads(done.stdout.splitlines()[-1]), strict=True))
    assert codes == {(name, left): 0 if left == 1000 else 5 for name, left in codes}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("genrev: error: there is not enough memory") == 3 * len(LINES)
    assert len(list(tmp_path.iterdir())) == 1 + len(LINES)  # and no temporary file


@pytest.fixture
def tight():
    """Leave 16 MiB of address space."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_there_is_room_without_a_limit():
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        assert has_room(1 << 60)
    require_room_for_algebra()


def test_room_is_what_the_limit_leaves(tight):
    assert has_room(1 << 20)
    assert not has_room(64 << 20)
    with pytest.raises(MemoryError, match="OMP_NUM_THREADS"):
        require_room_for_algebra()


STRANGE = SystemError("error return without exception set")


def test_a_strange_error_under_a_tight_limit_means_too_little_memory(tight):
    assert _explain(STRANGE)[0] == 5


def test_a_strange_error_is_a_bug_otherwise():
    code, sentence = _explain(STRANGE)
    assert (code, "error return without exception set" in sentence) == (1, True)


def test_without_a_limit_libraries_are_not_looked_up(monkeypatch):
    """It reads the list of all loaded libraries, which takes longer than a small Fréchet distance."""
    looked = []
    monkeypatch.setattr(memory, "_needed", lambda: looked.append(1) or 1)
    for limit, times in ((resource.RLIM_INFINITY, 0), (10**15, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        require_room_for_algebra()
        assert len(looked) == times
