"""Exact transport between sets of points: optimality, its value and its gradient against the plain formulation."""

from itertools import permutations

import numpy as np
import ot as pot
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.ot import discrete
from genrev_cli.ot.discrete import (
    classwise_transport_loss,
    costs,
    costs_by_class,
    costs_of_all,
    optimal_assignments,
    optimal_pairs,
    transport_loss,
)

FAMILIES = {
    "normal": lambda rng, n: rng.standard_normal((n, n)),
    "ties": lambda rng, n: rng.integers(0, 3, (n, n)).astype(float),
    "products": lambda rng, n: np.outer(np.arange(n), np.arange(n)).astype(float),
    "duplicate rows": lambda rng, n: rng.standard_normal((1, n)).repeat(n, 0),
    "far away": lambda rng, n: 1e6 + rng.random((n, n)),
    "zero": lambda rng, n: np.zeros((n, n)),
}


def points(n, d=8, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain_loss(x, s, a=None, b=None):
    """Compute the loss as published: all differences at once, POT's plan, Σ P·c."""
    cost = (x[:, None] - s[None]).square().sum(2).clamp_min(1e-6).sqrt()
    a, b = a if a is not None else [], b if b is not None else []
    plan = pot.emd(a, b, cost.detach().numpy(), numItermax=10**7)
    return (torch.from_numpy(plan) * cost).sum()


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_brute_force(family, n):
    cost = FAMILIES[family](np.random.default_rng(n), n)
    pairs = optimal_pairs(torch.from_numpy(cost))
    best = min(cost[range(n), list(order)].sum() for order in permutations(range(n)))
    assert sorted(pairs.cols.tolist()) == list(range(n))
    assert cost[pairs.rows, pairs.cols].sum() == pytest.approx(best, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_as_good_as_scipy(family):
    cost = FAMILIES[family](np.random.default_rng(0), 120)
    pairs = optimal_pairs(torch.from_numpy(cost))
    assert cost[pairs.rows, pairs.cols].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum(), rel=1e-12, abs=1e-12)
    assert pairs.rows.tolist() == list(range(120))
    assert sorted(pairs.cols.tolist()) == list(range(120))


@pytest.mark.parametrize("squared", [False, True])
def test_costs_are_the_distances(squared):
    x, s = points(20), points(30, seed=1) + 1
    expected = torch.cdist(x, s, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(costs(x, s, squared=squared), expected.square() if squared else expected, rtol=1e-9, atol=1e-12)


def test_costs_of_float32_far_from_the_origin():
    """Without centring, squares of 1e6 would hide differences of 1."""
    x, s = points(20, dtype=torch.float32) + 1000, points(30, seed=1, dtype=torch.float32) + 1000
    torch.testing.assert_close(costs(x, s), torch.cdist(x, s, compute_mode="donot_use_mm_for_euclid_dist"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (30, 45), (45, 30), (1, 7)])
def test_loss_and_gradient_of_the_plain_formulation(n, m):
    x, s = points(n).requires_grad_(), points(m, seed=1).requires_grad_()
    ours, plain = transport_loss(x, s), plain_loss(x, s)
    assert ours.item() == pytest.approx(plain.item(), rel=1e-9)
    for mine, theirs in zip(torch.autograd.grad(ours, [x, s]), torch.autograd.grad(plain, [x, s]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


def test_weights():
    rng = np.random.default_rng(0)
    cost, a, b = rng.random((6, 4)), rng.random(6), rng.random(4)
    a, b = a / a.sum(), b / b.sum()
    pairs = optimal_pairs(torch.from_numpy(cost), torch.from_numpy(3 * a), torch.from_numpy(b))  # their sum is arbitrary
    assert (pairs.mass.numpy() * cost[pairs.rows, pairs.cols]).sum() == pytest.approx(pot.emd2(a, b, cost), rel=1e-9)
    np.testing.assert_allclose(np.bincount(pairs.rows, pairs.mass, 6), a, rtol=1e-9)
    np.testing.assert_allclose(np.bincount(pairs.cols, pairs.mass, 4), b, rtol=1e-9)


def test_squared_cost_of_a_shift():
    """W₂² between a set and the set moved by v is |v|², and every gradient is 2v/n."""
    x = points(50).requires_grad_()
    loss = transport_loss(x, x.detach() + 0.5, squared=True)
    assert loss.item() == pytest.approx(8 * 0.25)
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], torch.full_like(x, -2 * 0.5 / 50))


def test_equal_sets_have_no_distance_and_a_finite_gradient():
    x = points(20).requires_grad_()
    loss = transport_loss(x, x.detach().flip(0))
    assert loss.item() == pytest.approx(1e-3)  # the root of LEAST_SQUARE
    assert torch.autograd.grad(loss, x)[0].eq(0).all()


def test_by_class():
    """The loss is the mean over all pairs of the transport within each class. It does not depend on the order of rows."""
    x, s, classes = points(60).requires_grad_(), points(60, seed=1), torch.arange(60) % 7 % 3
    expected = sum((classes == k).double().mean() * plain_loss(x[classes == k], s[classes == k]) for k in range(3))
    loss = classwise_transport_loss(x, s, classes)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    mine, theirs = (torch.autograd.grad(value, x)[0] for value in (loss, expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert classwise_transport_loss(x[order], s[order], classes[order]).item() == pytest.approx(loss.item(), rel=1e-12)


def test_all_pairs_at_once_are_the_costs_of_each_class():
    """In float32 as on a GPU, with classes of unequal sizes, far apart and in random order."""
    classes = torch.arange(60) % 11 % 4
    x = points(60, dtype=torch.float32) + 100 * classes[:, None]
    s = points(60, seed=1, dtype=torch.float32) + 100 * classes[:, None]
    each, whole = costs_by_class(x, s, classes), costs_of_all(x, s, classes)
    for rows, others in zip(each[0], whole[0], strict=True):
        assert torch.equal(rows, others)
    for cost, other in zip(each[1], whole[1], strict=True):
        torch.testing.assert_close(cost, other, rtol=1e-5, atol=1e-5)


@pytest.fixture
def transfers(monkeypatch):
    """Return a list of the shapes of the tensors that are copied between the CPU and a GPU, in order."""
    found = []
    monkeypatch.setattr(discrete, "to_host", lambda *tensors: found.append(("host", *tensors[0].shape)) or list(tensors))
    monkeypatch.setattr(discrete, "to_device", lambda tensor, device: found.append(("device", *tensor.shape)) or tensor)
    return found


def test_all_classes_are_copied_together(monkeypatch, transfers):
    """The host waits once, for all costs and the classes; the matching goes back in one copy."""
    x, s, classes = points(12).requires_grad_(), points(12, seed=1), torch.arange(12) % 3
    expected = classwise_transport_loss(x, s, classes)
    transfers.clear()
    monkeypatch.setattr(discrete, "costs_by_class", costs_of_all)
    monkeypatch.setattr(discrete, "_on_cpu", torch.Tensor.numpy)
    assert classwise_transport_loss(x, s, classes).item() == pytest.approx(expected.item(), rel=1e-12)
    assert transfers == [("host", 12, 12), ("device", 12)]


def test_the_host_waits_once_for_two_sets(transfers):
    transport_loss(points(12), points(12, seed=1))
    assert transfers == [("host", 12, 12), *[("device", 12)] * 3]


def test_problems_side_by_side_are_problems_one_by_one():
    problems = [torch.rand(n, n, generator=torch.Generator().manual_seed(n)) for n in (1, 5, 30, 31)]
    for cost, cols in zip(problems, optimal_assignments(problems), strict=True):
        assert torch.equal(cols, optimal_pairs(cost).cols)


def test_device(device):
    x, s, classes = points(12).to(device).requires_grad_(), points(12, seed=1).to(device), (torch.arange(12) % 2).to(device)
    for loss in (transport_loss(x, s), transport_loss(x, s[:5]), classwise_transport_loss(x, s, classes)):
        assert loss.device.type == device.type
        assert torch.autograd.grad(loss, x)[0].isfinite().all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("m", [4, 5])
def test_codes_that_are_not_finite_are_refused_at_once(bad, m):
    x = points(4)
    x[2, 3] = bad
    with pytest.raises(DivergedError, match="not finite"):
        transport_loss(x, points(m))


def test_an_empty_side():
    with pytest.raises(UsageError, match="empty"):
        transport_loss(points(4), points(0))
