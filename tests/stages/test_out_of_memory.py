"""A step that does not fit the memory of a GPU: the error says how much is missing, and which batch fits."""

import os

import pytest
import torch

from genrev_cli.cli import main
from genrev_cli.errors import UnavailableError
from genrev_cli.methods.reconstruction import Reconstruction
from genrev_cli.training import distributed

SAID = "CUDA out of memory. Tried to allocate 1.25 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.02 GiB is free."


@pytest.fixture
def memory(monkeypatch):
    """Return a function that sets the largest number of rows that fit the memory in a step."""

    def of(rows):
        step = Reconstruction.step

        def limited(self, x, labels, generator):
            if len(x) > rows:
                raise torch.OutOfMemoryError(SAID)
            return step(self, x, labels, generator)

        monkeypatch.setattr(Reconstruction, "step", limited)

    return of


@pytest.mark.parametrize(("rows", "fits"), [(9, 8), (8, 8), (5, 4), (1, 1)])
def test_a_batch_that_fits_is_named(recon, tmp_path, memory, rows, fits):
    memory(rows)
    with pytest.raises(UnavailableError) as error:
        recon(tmp_path / "a.safetensors", steps=3, batch=16)
    assert str(error.value) == (
        f"a step with a batch of 16 does not fit the memory of cpu (1.25 GiB more were needed); --batch {fits} fits, as a trial shows; "
        "--memory reversible needs much less for the same batch, with the same result"
    )
    assert not (tmp_path / "a.safetensors").exists()


def test_memory_that_is_saved_already_is_not_advised(recon, tmp_path, memory):
    memory(0)
    with pytest.raises(UnavailableError, match="no smaller batch fits either$"):
        recon(tmp_path / "a.safetensors", steps=3, batch=16, memory="reversible")


def test_the_last_saved_state_stays(recon, tmp_path, memory):
    """The trial changes weights, but they are not saved."""
    out = recon(tmp_path / "a.safetensors", steps=2, batch=16).out
    before = out.read_bytes(), (tmp_path / "a.safetensors.run" / "state.safetensors").read_bytes()
    memory(4)
    with pytest.raises(UnavailableError, match="--batch 4 fits"):
        recon(out, steps=4, batch=16)
    assert (out.read_bytes(), (tmp_path / "a.safetensors.run" / "state.safetensors").read_bytes()) == before


def test_a_trial_step_runs_as_a_single_process(monkeypatch):
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 8)
    monkeypatch.setattr(distributed.dist, "get_rank", lambda: 3)
    assert (distributed.rank(), distributed.size()) == (3, 8)
    with distributed.as_single_process():
        assert (distributed.rank(), distributed.size()) == (0, 1)
    assert (distributed.rank(), distributed.size()) == (3, 8)


@pytest.mark.parametrize(("environment", "who"), [({}, ""), ({"WORLD_SIZE": "8", "RANK": "3"}, "process 3 of 8: ")])
def test_other_commands_say_how_much_was_needed(recon, tmp_path, monkeypatch, capsys, environment, who):
    ckpt = recon(tmp_path / "a.safetensors", steps=1).out

    def full(*_):
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr("genrev_cli.models.revnet.RevNet.encode", full)
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, value)
        monkeypatch.setattr("genrev_cli.runs.processes.run_among", lambda words, command, **_: command())
    assert main(["encode", "--ckpt", str(ckpt), "--out", str(tmp_path / "codes.h5"), "--device", "cpu"]) == 5
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"genrev: error: {who}there is not enough memory on GPU 0, which has 79.11 GiB (1.25 GiB more were needed): "
        "make --batch smaller where there is one, or free some"
    )
