"""Gradients averaged during the backward pass equal those averaged after it."""

import json

import pytest
import torch
from bucket_cases import CASES
from test_processes import finish, start_script
from torch import nn

from genrev_cli.training.buckets import Gradients, _Bucket


@pytest.fixture(scope="module")
def spoken():
    """Return what two processes print for each case."""
    found = []
    for stdout, stderr in finish(start_script("bucket_cases.py")):
        found.append({case: rest for case, *rest in map(json.loads, stdout.splitlines())})
        assert found[-1].keys() == CASES.keys(), stderr
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_buckets_give_the_average(spoken, case):
    """Both processes have the same bits, and buckets are sent before the last gradient."""
    one, two = (said[case] for said in spoken)
    assert one == two
    sent, late, difference, _ = one
    assert sent > 1
    assert difference < 1e-6
    if case not in (
        "late",
        "compiled",
        "compiled and normed",
    ):  # in these cases all gradients come before the first bucket is sent
        assert late > 0


def test_a_single_process_takes_plain_gradients():
    layer = nn.Linear(3, 2)
    loss = layer(torch.ones(4, 3)).square().mean()
    expected = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    assert all(map(torch.equal, Gradients(loss, list(layer.parameters())).wait(), expected))
    assert not layer.weight._backward_hooks


def test_buckets_hold_one_kind():
    parameters = [nn.Parameter(torch.zeros(3, 2)), nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(2, dtype=torch.float64))]
    bucket = _Bucket(parameters[0], 44)
    assert [bucket.takes(parameter) for parameter in parameters] == [True, True, False]
    assert bucket.add(parameters[0]) == 0
    assert bucket.takes(parameters[1])
    assert bucket.add(parameters[1]) == 1
    assert not bucket.takes(nn.Parameter(torch.zeros(1)))
    assert not bucket.full
    kept = [bucket.put(place, torch.full(shape, 1.0 + place)) for place, shape in enumerate([(3, 2), (5,)])]
    assert bucket.full
    assert [part.tolist() for part in kept] == [[[1.0] * 2] * 3, [2.0] * 5]
