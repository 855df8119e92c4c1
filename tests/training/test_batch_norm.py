"""Batch norm over the rows of all processes; the second process is simulated, with equal rows."""

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from norm_cases import CASES as KERNEL_CASES
from test_processes import finish, start_script
from torch import nn

from genrev_cli.training import batch_norm


@pytest.fixture
def twin(monkeypatch):
    """Simulate two processes with equal rows: means over both equal those of one."""
    monkeypatch.setattr(batch_norm, "size", lambda: 2)
    monkeypatch.setattr(batch_norm, "mean", lambda tensor: tensor)


CASES = [(nn.BatchNorm2d(3), (4, 3, 5, 2)), (nn.BatchNorm1d(6), (4, 6)), (nn.BatchNorm2d(3, momentum=0.3, eps=1e-2), (2, 3, 1, 1))]


@pytest.mark.usefixtures("twin")
@pytest.mark.parametrize(("layer", "shape"), CASES, ids=["images", "codes", "one place"])
def test_equals_batch_norm_of_all_rows(layer, shape):
    one, shared = copy.deepcopy(layer), copy.deepcopy(layer)
    for network in (one, shared):
        nn.init.normal_(network.weight, generator=torch.Generator().manual_seed(0))
        nn.init.normal_(network.bias, generator=torch.Generator().manual_seed(1))
    batch_norm.share_statistics(nn.Sequential(shared))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 3 + 1
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    whole, half = one(torch.cat([a, a])), shared(b)
    torch.testing.assert_close(half, whole[: len(x)])
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    (whole * torch.cat([weights, weights])).sum().backward()
    (half * weights).sum().backward()
    torch.testing.assert_close(2 * b.grad, a.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(2 * shared.weight.grad, one.weight.grad, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(shared.buffers(), one.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)
    for network in (one, shared):
        network.eval()
    torch.testing.assert_close(shared(x), one(x))
    assert shared.state_dict().keys() == one.state_dict().keys()


def test_statistics_are_those_of_different_rows(monkeypatch):
    """The means of the other process are prepared in the order in which it would send them."""
    mine, theirs = (torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(seed)) * (1 + seed) + seed for seed in (1, 2))
    dims = (0, 2, 3)
    mu = torch.cat([mine, theirs]).mean(dims)
    others = iter([theirs.mean(dims), (theirs - mu.view(1, 3, 1, 1)).square().mean(dims)])
    monkeypatch.setattr(batch_norm, "size", lambda: 2)
    monkeypatch.setattr(batch_norm, "mean", lambda tensor: (tensor + next(others)) / 2)
    shared, one = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    batch_norm.share_statistics(shared)
    torch.testing.assert_close(shared(mine), one(torch.cat([mine, theirs]))[:4])
    for a, b in zip(shared.buffers(), one.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("twin")
def test_bf16_is_normalised_in_fp32():
    layer = nn.BatchNorm2d(2)
    batch_norm.share_statistics(layer)
    x = torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float().mean((0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-2)


def test_a_single_process_does_not_change_layers():
    layer = nn.BatchNorm2d(2)
    batch_norm.share_statistics(layer)
    assert "forward" not in vars(layer)


@pytest.fixture(scope="module")
def kernels():
    """Return the differences between the kernels and the formula that each of two processes prints."""
    spoken = finish(start_script("norm_cases.py"))
    found = [dict(map(json.loads, stdout.splitlines())) for stdout, _ in spoken]
    assert all(said.keys() == KERNEL_CASES.keys() for said in found), spoken
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", KERNEL_CASES)
def test_kernels_give_what_the_formula_gives(kernels, case):
    """This includes first and second derivatives, running statistics and evaluation mode. The kernels are replaced by their formulas."""
    for said in kernels:
        assert said[case] < (1e-2 if case == "bf16" else 2e-6)


@pytest.mark.parametrize(("device", "compiling", "there"), [("cpu", False, False), ("cuda", False, True), ("cuda", True, False)])
def test_kernels_are_for_cuda(monkeypatch, device, compiling, there):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)

    assert batch_norm._has_kernels(SimpleNamespace(device=torch.device(device))) == there
