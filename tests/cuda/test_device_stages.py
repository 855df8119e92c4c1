"""Every training stage on the emulated device: it gives what the CPU gives, and the host waits for the device at looks alone."""

import pytest
import torch
from commands import TRAINING_CASES, words_on
from steps import require_budget

from genrev_cli.cli import main
from genrev_cli.files.checkpoint import read_checkpoint

ROUNDING = {"gan-gp": 1e-6, "gan-qc": 1e-6}
"""By case, where weights are not those of the CPU to the bit: second derivatives of convolutions are summed in another order."""


@pytest.mark.parametrize("name", TRAINING_CASES)
def test_a_stage_gives_what_the_cpu_gives_and_waits_at_looks_alone(start, tmp_path, trained, name):
    case = TRAINING_CASES[name]
    here, there = tmp_path / "cuda", tmp_path / "cpu"
    for made in (here, there):
        made.mkdir()
    stage, steps = trained(name, words_on("cuda", case, start, here))
    assert main(words_on("cpu", case, start, there)) == 0
    (header, mine), (_, theirs) = (read_checkpoint(made / case.out) for made in (here, there))
    assert header.made_by["device"] == "cuda:0"
    for key, value in theirs.items():
        torch.testing.assert_close(mine[key], value, rtol=0, atol=ROUNDING.get(name, 0), msg=lambda said, key=key: f"{key}: {said}")
    require_budget(name, stage, steps)
