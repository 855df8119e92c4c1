"""Two processes with an emulated device each, gloo in the place of NCCL, give what two processes on the CPU give."""

import os

import pytest
import test_processes
import torch
from commands import OTHERS, TRAINING_CASES, words_on
from equality import difference
from process_cases import inputs, prepare
from run import environment

from genrev_cli.cli import main
from genrev_cli.files.checkpoint import read_checkpoint

TRAINED = ("recon", "recon-mmd", "adversarial", "ot", "flow", "vpga", "vae-normed", "wae-gan", "gan", "gan-gp", "features")
OTHER = ("encode", "sample")

LARGEST_DIFFERENCE = {"vae-normed": 1e-6, "gan": 1e-6, "gan-gp": 1e-6}
"""By case, where weights need not be the same to the bit: batch norm is synchronised by other operators on CUDA, and gradients that meet in
a parameter are added in another order."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folders of the results of two processes on the CPU and on two devices."""
    folder = tmp_path_factory.mktemp("two")
    made = {name: folder / name for name in ("inputs", "cpu", "cuda")}
    for path in made.values():
        path.mkdir()
    prepare(made["inputs"])
    assert [main(words) for words in inputs(made["inputs"])] == [0] * 3
    cases = [*(TRAINING_CASES[name] for name in TRAINED), *(OTHERS[name] for name in OTHER)]
    plain = {key: value for key, value in os.environ.items() if key not in ("LD_PRELOAD", "LD_LIBRARY_PATH")}
    with pytest.MonkeyPatch.context() as patch:
        for device, variables, start in (("cpu", plain, ""), ("cuda", environment(2), "import emulator\nemulator.start()\n")):
            patch.setattr(test_processes, "ENVIRONMENT", {**variables, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"})
            patch.setattr(test_processes, "SCRIPT", f"{start}{test_processes.SCRIPT}")
            spoken = test_processes.run_processes(2, [words_on(device, case, made["inputs"], made[device]) for case in cases])
            assert [codes for _, codes, _ in spoken] == [[0] * len(cases)] * 2, spoken[0][2][-3:] + spoken[1][2][-3:]
    return made["cpu"], made["cuda"]


@pytest.mark.parametrize("name", TRAINED)
def test_weights_are_those_of_two_cpus(both, name):
    (_, mine), (header, theirs) = (read_checkpoint(folder / TRAINING_CASES[name].out) for folder in both)
    assert (header.made_by["processes"], header.made_by["device"]) == (2, "cuda:0")
    for key, value in mine.items():
        largest = LARGEST_DIFFERENCE.get(name, 0)
        torch.testing.assert_close(theirs[key], value, rtol=0, atol=largest, msg=lambda said, key=key: f"{key}: {said}")


@pytest.mark.parametrize("name", OTHER)
def test_codes_and_samples_are_those_of_two_cpus(both, name):
    assert difference(*(folder / OTHERS[name].out for folder in both)) == "="
