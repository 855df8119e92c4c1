"""Runs of an earlier commit that were killed (killed/COMMIT.tar.xz, by killed_runs.py) go on to the end of its undisturbed runs."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from killed_runs import FOLDER, RUNS
from safetensors.numpy import load_file

from genrev_cli.cli import main
from genrev_cli.files.any import read_any_header
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.training.log import read_log

OTHER = {
    ("ae194b8", "gan.safetensors"): "maps of fit-ot draw other codes from the same seed since 128890b",
}
"""Runs that do not end the same, and why. The difference of the weights after three steps is still small."""

KILLED = sorted(FOLDER.glob("*.tar.xz"))

ROUNDING = 1e-4
"""Bound of the difference that other processors and libraries make within three steps, as a share of the largest weight."""


def commit_of(archive):
    return archive.name.partition(".")[0]


def kept(archive):
    """The names of the runs that an archive has."""
    with tarfile.open(archive) as opened:
        return [out for out in RUNS if f"{out}.run/state.safetensors" in opened.getnames()]


CASES = [(archive, out) for archive in KILLED for out in kept(archive)]


def test_every_command_has_a_killed_run():
    assert {out for _, out in CASES} == set(RUNS)


@pytest.fixture(params=CASES, ids=lambda case: f"{commit_of(case[0])} {case[1]}")
def killed(request, tmp_path, monkeypatch):
    """The commit and the name of a killed run. The current folder has it, and whole/ with what its undisturbed run left."""
    archive, out = request.param
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    assert not Path(out).exists(), "a killed run has no result"
    return commit_of(archive), out


def largest_difference(out):
    """The largest difference between the arrays of a result and those of the undisturbed run, as a share of the largest value."""
    wanted, arrays = load_file(Path("whole", out)), load_file(out)
    assert {name: array.shape for name, array in arrays.items()} == {name: array.shape for name, array in wanted.items()}
    errors = [np.abs(arrays[name].astype(float) - wanted[name]).max(initial=0) for name in wanted]
    return max(error / max(1, np.abs(array).max(initial=0)) for error, array in zip(errors, wanted.values(), strict=True))


def test_a_killed_run_goes_on_to_the_same_end(killed, capfd):
    out = killed[1]
    whole, run = read_any_header(Path("whole", out)), Path(f"{out}.run")
    assert 0 < read_checkpoint_header(run / "state.safetensors").step < whole.step
    code = main(RUNS[out].split())
    err = capfd.readouterr().err
    assert code == 0, err
    assert "resuming" in err
    found = read_any_header(Path(out))
    assert (found.step, found.kind) == (whole.step, whole.kind)
    error = largest_difference(out)
    if killed in OTHER:
        assert ROUNDING < error < 0.01, OTHER[killed]
    else:
        assert error <= ROUNDING
    steps = [record["step"] for record in read_log(run / "log.jsonl") if record["kind"] == "loss"]
    assert steps == ([] if out.startswith("ot") else list(range(1, whole.step + 1)))
