"""Copies without a wait of the host: memory is pinned for a GPU only."""

from contextlib import closing

import pytest
import torch

from genrev_cli.files.images import open_images
from genrev_cli.training import batches
from genrev_cli.transfers import to_device, to_host


def forbidden(*_):
    raise AssertionError("memory was pinned for a CPU")


def test_the_cpu_pins_nothing(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", forbidden)
    tensor = torch.arange(3)
    assert to_device(tensor, torch.device("cpu")) is tensor
    assert to_host(tensor, tensor)[1] is tensor


@pytest.mark.parametrize("pinned", [True, False])
def test_a_gpu_copies_from_pinned_memory(monkeypatch, pinned):
    calls = []
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda self: pinned)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: calls.append("pin") or self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, *, non_blocking=False: calls.append((str(device), non_blocking)))
    to_device(torch.arange(3), torch.device("cuda:1"))
    assert calls == [("cuda:1", True)] if pinned else ["pin", ("cuda:1", True)]


def test_there_and_back(device):
    tensor = torch.arange(6.0).view(2, 3)
    there = to_device(tensor, device)
    assert there.device.type == device.type
    for back in to_host(there, 2 * there):
        assert back.device.type == "cpu"
    assert torch.equal(to_host(there)[0], tensor)


@pytest.mark.parametrize(("resident", "sent"), [(64, [(8,)]), (0, [(8, 1, 8, 8), (8,)])])
def test_what_a_step_sends_to_the_device(data, monkeypatch, resident, sent):
    """It sends row numbers for images on the device, and pixels and labels for images in the file."""
    shapes = []
    made = batches.Batches(open_images(data), "train", batch=8, seed=0, device=torch.device("cpu"), resident_megabytes=resident)
    monkeypatch.setattr(batches, "to_device", lambda tensor, device: shapes.append(tuple(tensor.shape)) or tensor)
    with closing(made):
        made(0)
    assert shapes == sent
