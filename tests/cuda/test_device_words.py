"""Every word of --device on machines with one and two emulated devices, by torch's own functions, under torchrun and without."""

import json
import subprocess
import sys

import pytest
from run import environment

from genrev_cli.errors import UnavailableError, UsageError

WORDS = ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:7", "meta", "nonsense")
TORCHRUN = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "RANK": "1", "WORLD_SIZE": "2"}

SCRIPT = """
import emulator, json, os, sys
emulator.start()
import torch
from genrev_cli.errors import GenrevError
from genrev_cli.training.devices import resolve_device
found = {}
for word in json.loads(sys.argv[1]):
    torch.cuda.set_device(0)
    try:
        device = resolve_device(word)
        found[word] = [str(device), torch.cuda.current_device(), str(torch.zeros(2, device=device).device)]
    except GenrevError as error:
        found[word] = [type(error).__name__, str(error)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def machines():
    """(devices, under torchrun) → word → the device, the current one and that of a new tensor; or the error."""
    processes = {}
    for devices in (1, 2):
        for torchrun in (False, True):
            variables = {key: value for key, value in environment(devices).items() if key not in TORCHRUN}
            variables |= TORCHRUN if torchrun else {}
            command = [sys.executable, "-c", SCRIPT, json.dumps(WORDS)]
            processes[devices, torchrun] = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
    found = {key: process.communicate(timeout=300)[0] for key, process in processes.items()}
    return {key: json.loads(text) for key, text in found.items()}


@pytest.mark.parametrize(
    ("devices", "torchrun", "word", "index"),
    [
        (1, False, "auto", 0), (1, False, "cuda", 0), (1, False, "cuda:0", 0),
        (2, False, "auto", 0), (2, False, "cuda", 0), (2, False, "cuda:0", 0), (2, False, "cuda:1", 1),
        (2, True, "auto", 1), (2, True, "cuda", 1),
    ],
)  # fmt: skip
def test_a_device_has_an_index_and_is_the_current_one(machines, devices, torchrun, word, index):
    assert machines[devices, torchrun][word] == [f"cuda:{index}", index, f"cuda:{index}"]


@pytest.mark.parametrize("machine", [(1, False), (1, True), (2, False), (2, True)])
def test_the_cpu_is_the_cpu(machines, machine):
    assert machines[machine]["cpu"] == ["cpu", 0, "cpu"]


@pytest.mark.parametrize(
    ("devices", "torchrun", "word", "error", "said"),
    [
        (1, False, "cuda:1", UnavailableError, "this machine has 1 CUDA device"),
        (1, False, "cuda:7", UnavailableError, "this machine has 1 CUDA device"),
        (2, False, "cuda:7", UnavailableError, "this machine has 2 CUDA devices"),
        (1, True, "auto", UnavailableError, "this machine has 1 CUDA device"),
        (1, True, "cuda", UnavailableError, "this machine has 1 CUDA device"),
        (2, True, "cuda:0", UsageError, "each of the 2 processes needs its own GPU"),
        (2, True, "cuda:7", UsageError, "each of the 2 processes needs its own GPU"),
        *((devices, torchrun, word, UsageError, "choose auto, cpu, cuda or cuda:N")
          for devices in (1, 2) for torchrun in (False, True) for word in ("meta", "nonsense")),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(machines, devices, torchrun, word, error, said):
    kind, message = machines[devices, torchrun][word]
    assert kind == error.__name__
    assert said in message
