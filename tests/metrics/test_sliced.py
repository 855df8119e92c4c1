import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics.sliced import relative_sliced_wasserstein, sliced_wasserstein


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed):
    return torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


def swd(u, v, projections=50, seed=0):
    return sliced_wasserstein(u, v, projections=projections, generator=seeded(seed)).item()


@pytest.mark.parametrize("n", [1, 7, 100])
def test_same_set_in_another_order(n):
    u = normal(n, 3, 1)
    assert swd(u, u[torch.randperm(n, generator=seeded())]) == pytest.approx(0, abs=1e-14)


def test_one_dimension():
    """In one dimension every direction is ±1, and W₂² is the mean square difference of the sorted values."""
    u, v = normal(20, 1, 1), 3 * normal(20, 1, 2)
    assert swd(u, v, projections=1) == pytest.approx((u.sort(0).values - v.sort(0).values).square().mean().sqrt().item(), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2, 3), (6, 4), (1, 5), (12, 36), (7, 5)])
def test_unequal_numbers_are_exact(n, m):
    """Repeating all points of a set equally often changes nothing, so n and m points can be compared as n·m each."""
    u, v = normal(n, 4, 1), normal(m, 4, 2)
    repeated = swd(u.repeat_interleave(m, 0), v.repeat_interleave(n, 0))
    assert swd(u, v) == pytest.approx(repeated, rel=1e-12)
    assert swd(v, u) == pytest.approx(repeated, rel=1e-12)


def test_unequal_numbers_against_scipy():
    u, v = torch.tensor([[0.0], [1.0], [5.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    # ∫ |F⁻¹ − G⁻¹| of values that differ by 0 or a constant: here the quantiles differ by 0, 1 (width 1/6 … 1/3) and 4.
    widths, differences = np.array([1 / 3, 1 / 6, 1 / 6, 1 / 3]), np.array([0, 1, 0, 4])
    assert wasserstein_distance(u[:, 0], v[:, 0]) == pytest.approx(widths @ differences)
    assert swd(u, v, projections=1) == pytest.approx(math.sqrt(widths @ differences**2), rel=1e-12)


def test_translation():
    """SWD² = mean (θ·t)², which is |t|²/d on average over directions."""
    u, t = normal(10, 6, 1), normal(1, 6, 2)
    assert swd(u, u + t, projections=40_000) == pytest.approx((t.square().sum() / 6).sqrt().item(), rel=0.02)
    theta = torch.randn(6, 9, generator=seeded(5), dtype=torch.float64)
    expected = (t @ (theta / theta.norm(dim=0))).square().mean().sqrt().item()
    assert swd(u, u + t, projections=9, seed=5) == pytest.approx(expected, rel=1e-12)


def test_scaled_copy():
    """W₂(u, c u) = |c − 1| (E (θ·u)²)^½, which is about |c − 1| for a standard Gaussian."""
    u = normal(4000, 3, 1)
    assert swd(u, 2.5 * u, projections=200) == pytest.approx(1.5, rel=0.02)


def test_homogeneous_and_symmetric():
    u, v = normal(30, 3, 1), normal(20, 3, 2)
    assert swd(4 * u, 4 * v) == pytest.approx(4 * swd(u, v), rel=1e-12)
    assert swd(u, v) == pytest.approx(swd(v, u), rel=1e-12)
    assert swd(u, v) == swd(u, v)
    assert swd(u, v) != swd(u, v, seed=1)


def test_triangle_inequality():
    u, v, w = (normal(15, 3, seed) * seed for seed in (1, 2, 3))
    assert swd(u, w) <= swd(u, v) + swd(v, w)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (6, 4)])
def test_gradient(n, m):
    u, v = normal(n, 3, 1).requires_grad_(), normal(m, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sliced_wasserstein(a, b, projections=4, generator=seeded()), (u, v))


def test_gradient_of_equal_sets_is_zero():
    u = normal(6, 3, 1).requires_grad_()
    distance = sliced_wasserstein(u, u.detach(), projections=4, generator=seeded())
    distance.backward()
    assert distance.item() == 0
    assert (u.grad == 0).all()


def test_descent_brings_the_sets_together():
    u, v, generator = normal(40, 2, 1).requires_grad_(), normal(40, 2, 2) + 3, seeded()
    optimizer = torch.optim.Adam([u], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        sliced_wasserstein(u, v, projections=16, generator=generator).backward()
        optimizer.step()
    assert swd(u.detach(), v) < 0.2


def test_relative_distance():
    prior, other = normal(2000, 4, 1), normal(2000, 4, 2)
    relative = lambda codes: relative_sliced_wasserstein(codes, prior, other, projections=300, generator=seeded())  # noqa: E731
    assert relative(other) == 1
    assert relative(normal(2000, 4, 3)) == pytest.approx(1, abs=0.35)
    assert relative(2 * normal(2000, 4, 3)) == pytest.approx(1 / swd(prior, other, 300), rel=0.1)


def test_bad_sets():
    u = normal(5, 3, 1)
    with pytest.raises(UsageError, match="3 and 2 dimensions"):
        swd(u, u[:, :2])
    with pytest.raises(UsageError, match="empty"):
        swd(u, u[:0])
    with pytest.raises(UsageError, match="draw them independently"):
        relative_sliced_wasserstein(u, u, u, projections=5, generator=seeded())
    with pytest.raises(DivergedError, match="NaN"):
        relative_sliced_wasserstein(u * math.nan, u, u + 1, projections=5, generator=seeded())


@pytest.mark.parametrize("width", [0.0, 1e-44])
def test_a_prior_without_width_has_no_relative_distance(width):
    """The codes are sound, so the error must not say that they are not finite."""
    codes, directions = torch.ones(8, 2), torch.Generator().manual_seed(0)
    one, other = width * torch.randn(8, 2), width * torch.randn(8, 2)
    with pytest.raises(UsageError, match="samples of the prior are equal"):
        relative_sliced_wasserstein(codes, one, other, projections=4, generator=directions)
