import numpy as np
import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics.kernel import kid, mmd

SCALES = (0.04, 0.25, 0.81, 1.69)


def double_loop(x, y, kernel, unbiased=True):
    def within(a):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(a)) if i != j or not unbiased]
        return sum(kernel(a[i], a[j]) for i, j in pairs) / len(pairs)

    return within(x) + within(y) - 2 * sum(kernel(u, v) for u in x for v in y) / (len(x) * len(y))


def polynomial(u, v):
    return (float(u @ v) / len(u) + 1) ** 3


def multiquadratic(u, v):
    squared = float(((u - v) ** 2).sum())
    return sum(c / (c + squared) for c in SCALES)


def sets(n, m, d, dtype=torch.float64, shift=0.5):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator, dtype=dtype), torch.randn(m, d, generator=generator, dtype=dtype) + shift


def test_kid_of_whole_sets_by_hand():
    x, y = (s.numpy() for s in sets(7, 7, 4))
    value, error = kid(x, y, generator=np.random.default_rng(0), subset_size=7)
    assert value == pytest.approx(double_loop(x, y, polynomial), rel=1e-12)
    assert error is None  # there is only one subset, so there is no standard error


def test_kid_of_subsets_is_unbiased_and_seeded():
    x, y = (s.float() for s in sets(30, 40, 3))
    truth = double_loop(x.double().numpy(), y.double().numpy(), polynomial)
    mean, error = kid(x, y, generator=np.random.default_rng(1), subsets=3000, subset_size=8)
    assert 0 < error < 0.1
    assert abs(mean - truth) < 4 * error
    assert kid(x, y, generator=np.random.default_rng(1), subsets=3000, subset_size=8) == (mean, error)
    assert kid(x, y, generator=np.random.default_rng(2), subsets=3000, subset_size=8) != (mean, error)


@pytest.mark.parametrize(("n", "m"), [(8, 20), (20, 8)])
def test_kid_if_a_subset_is_one_whole_set(n, m):
    x, y = (s.numpy() for s in sets(n, m, 3))
    mean, error = kid(x, y, generator=np.random.default_rng(1), subsets=2000, subset_size=8)
    assert 0 < error < 0.1
    assert abs(mean - double_loop(x, y, polynomial)) < 4 * error


def test_kid_standard_error_is_the_spread_over_seeds():
    x, y = sets(60, 60, 3)
    results = np.array([kid(x, y, generator=np.random.default_rng(seed), subsets=20, subset_size=20) for seed in range(100)])
    assert results[:, 0].std() == pytest.approx(results[:, 1].mean(), rel=0.3)


@pytest.mark.parametrize(("size", "subsets", "match"), [(11, 5, "cannot be drawn from 10"), (1, 5, "choose a size"), (5, 1, "at least 2")])
def test_kid_impossible_subsets(size, subsets, match):
    x, y = sets(10, 20, 3)
    with pytest.raises(UsageError, match=match):
        kid(x, y, generator=np.random.default_rng(0), subsets=subsets, subset_size=size)


def test_kid_on_bad_sets():
    x, y = sets(10, 10, 3)
    with pytest.raises(UsageError, match="3 and 2 dimensions"):
        kid(x, y[:, :2], generator=np.random.default_rng(0), subset_size=5)
    with pytest.raises(DivergedError, match="sample 0"):
        kid(x / 0, y, generator=np.random.default_rng(0), subset_size=5)


@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_by_hand(unbiased):
    u, v = sets(6, 9, 4)
    assert mmd(u, v, SCALES, unbiased=unbiased).item() == pytest.approx(double_loop(u, v, multiquadratic, unbiased), rel=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_gradient(unbiased):
    u, v = (s.requires_grad_() for s in sets(4, 5, 3))
    assert torch.autograd.gradcheck(lambda a, b: mmd(a, b, SCALES, unbiased=unbiased), (u, v))


def test_mmd_bias():
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(10, 2, generator=generator, dtype=torch.float64)  # noqa: E731
    pairs = [(draw(), draw()) for _ in range(600)]
    for unbiased in (True, False):
        values = torch.stack([mmd(u, v, SCALES, unbiased=unbiased) for u, v in pairs])
        error = values.std() / len(values) ** 0.5
        assert (abs(values.mean()) < 4 * error) == unbiased
        assert unbiased or (values > 0).all()


def test_mmd_properties():
    u, v = sets(8, 8, 5)
    assert mmd(u, u, SCALES, unbiased=False).item() == pytest.approx(0, abs=1e-14)
    assert mmd(u, v, SCALES).item() == pytest.approx(mmd(v, u, SCALES).item(), rel=1e-12)
    q = torch.linalg.qr(sets(5, 5, 5)[0]).Q
    assert mmd(u @ q + 3, v @ q + 3, SCALES).item() == pytest.approx(mmd(u, v, SCALES).item(), rel=1e-11)
    near, far = mmd(u, v, SCALES), mmd(u, v + 10, SCALES)
    assert far > near


def test_mmd_gradient_of_float32_is_finite_for_equal_points():
    u = sets(50, 1, 64, torch.float32)[0].requires_grad_()
    mmd(u, u.detach().clone(), SCALES).backward()
    assert u.grad.isfinite().all()


def test_mmd_needs_two_samples():
    u, v = sets(1, 5, 3)
    with pytest.raises(UsageError, match="at least 2"):
        mmd(u, v, SCALES)
    with pytest.raises(UsageError, match="dimensions"):
        mmd(v, v[:, :2], SCALES)
