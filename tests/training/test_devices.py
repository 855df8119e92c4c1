"""Devices from their names, on machines with and without GPUs. Here torch.cuda is simulated; tests/cuda uses torch itself."""

import pytest
import torch

from genrev_cli.errors import UnavailableError, UsageError
from genrev_cli.precision import allow_tf32, tf32_allowed
from genrev_cli.training.devices import resolve_device

TORCHRUN = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "RANK": "1", "WORLD_SIZE": "2"}


@pytest.fixture
def gpus(monkeypatch):
    """Return a function (count, compute capability) that simulates so many GPUs; set_device needs an index, as in torch."""
    allowed = tf32_allowed()

    def machine(count, capability=(9, 0)):
        chosen = []

        def set_device(device):
            assert torch.device(device).index is not None, "Expected a torch.device with a specified index"
            chosen.append(torch.device(device).index)

        answers = {
            "is_available": lambda: count > 0, "device_count": lambda: count, "current_device": lambda: 0, "set_device": set_device,
            "get_device_capability": lambda device: capability,
        }  # fmt: skip
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)
        return chosen

    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    yield machine
    allow_tf32(allowed)


@pytest.mark.parametrize(("word", "found"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_cuda_device_has_an_index(gpus, word, found):
    chosen = gpus(2)
    assert resolve_device(word) == torch.device("cuda", found)
    assert chosen == [found]


@pytest.mark.parametrize("word", ["auto", "cuda"])
def test_under_torchrun_it_is_that_of_the_local_rank(gpus, monkeypatch, word):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert gpus(2) is not None
    assert resolve_device(word) == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("word", "count", "environment", "error", "said"),
    [
        ("cuda", 0, {}, UnavailableError, "this machine has no CUDA device; use --device cpu"),
        ("cuda:2", 2, {}, UnavailableError, "--device cuda:2: this machine has 2 CUDA devices; use --device cpu"),
        ("auto", 1, TORCHRUN, UnavailableError, "this machine has 1 CUDA device; start one process for each"),
        ("cuda:0", 2, TORCHRUN, UsageError, "each of the 2 processes needs its own GPU; use --device cuda"),
        ("meta", 1, {}, UsageError, "--device meta: choose auto, cpu, cuda or cuda:N"),
        ("gpu", 1, {}, UsageError, "--device gpu: choose auto, cpu, cuda or cuda:N"),
        ("cuda:x", 1, {}, UsageError, "--device cuda:x: choose auto"),
        ("", 1, {}, UsageError, "choose auto"),
    ],
)
def test_missing_devices_are_refused(gpus, monkeypatch, word, count, environment, error, said):
    gpus(count)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(error, match=said):
        resolve_device(word)


@pytest.mark.parametrize("word", ["cpu", "cpu:0", "auto"])
def test_without_a_gpu_it_is_the_cpu(gpus, word):
    gpus(0)
    assert resolve_device(word) == torch.device("cpu")


@pytest.mark.parametrize(("precision", "rounds"), [("fp32", False), ("tf32", True), ("bf16", False)])
@pytest.mark.parametrize("before", [True, False])
def test_the_precision_is_set_with_the_device(gpus, precision, rounds, before):
    gpus(1)
    allow_tf32(before)
    resolve_device("cuda", precision)
    assert tf32_allowed() == rounds


@pytest.mark.parametrize(
    ("word", "said"), [("cpu", "and the device is cpu"), ("cuda", "compute capability 8.0 or higher, and cuda:0 has 7.5")]
)
def test_tf32_is_refused_by_devices_without_it(gpus, word, said):
    gpus(1, (7, 5))
    with pytest.raises(UnavailableError, match=f"--precision tf32: .*{said}"):
        resolve_device(word, "tf32")
