"""MIND against closed forms, and against torch-fidelity's formula written out."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics import sliced
from genrev_cli.metrics.sliced import mind


def normal(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d))


def torch_fidelity(x, y, seed, projections):
    """torch_fidelity/metric_mind.py at commit 5e211a9, for sets of one size."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(projections, x.shape[1], generator=generator, dtype=torch.float32)
    directions = directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-12)
    a, b = ((torch.from_numpy(side).float() @ directions.t()).sort(dim=0).values for side in (x, y))
    return float(3.0 * x.shape[1] * ((a - b) ** 2).mean(dim=0).mean())


def test_equal_sets():
    x = normal(50, 7, 0)
    assert mind(x, x, seed=0) == (0, 0)
    assert mind(x, x[np.random.default_rng(1).permutation(50)], seed=0)[0] == pytest.approx(0, abs=1e-25)
    value, error = mind(x, np.repeat(x, 3, axis=0), seed=0)  # the same distribution with other numbers
    assert value == pytest.approx(0, abs=1e-25)
    assert error == pytest.approx(0, abs=1e-25)


@pytest.mark.parametrize("repeats", [1, 2])
def test_translation_in_one_dimension(repeats):
    """In one dimension every direction is ±1, so translated sets are at 3 t² exactly, whatever their numbers."""
    x = normal(20, 1, 0)
    value, error = mind(x, np.repeat(x, repeats, axis=0) + 1.7, seed=0)
    assert value == pytest.approx(3 * 1.7**2, rel=1e-12)
    assert error == pytest.approx(0, abs=1e-12)


def test_translation():
    """3 d (θ·t)² is 3|t|² on average over directions; its standard deviation is that times √(2(d−1)/(d+2))."""
    x, t, d = normal(30, 16, 0), normal(1, 16, 1), 16
    value, error = mind(x, x + t, seed=0, projections=20_000)
    expected = 3 * np.square(t).sum()
    assert value == pytest.approx(expected, abs=4 * error)
    assert error == pytest.approx(expected * np.sqrt(2 * (d - 1) / (d + 2) / 20_000), rel=0.05)


@pytest.mark.parametrize("n", [7, 1000])
def test_gaussians_in_one_dimension(n):
    """W₂² of N(m, s²) and N(m', s'²) is (m − m')² + (s − s')², here with quantiles in place of samples, whose variance is E q²."""
    q = ndtri((np.arange(n) + 0.5) / n)[:, None]
    value, _ = mind(2 * q + 1, q - 0.5, seed=3, projections=5)
    assert value == pytest.approx(3 * (1.5**2 + np.square(q).mean()), rel=1e-12)
    assert n < 1000 or value == pytest.approx(3 * (1.5**2 + 1), rel=0.01)


@pytest.mark.parametrize(("n", "m"), [(4, 6), (5, 7), (1, 3)])
def test_other_numbers_of_images_are_exact(n, m):
    x, y = normal(n, 3, 0), normal(m, 3, 1) + 1
    equal = mind(np.repeat(x, m, axis=0), np.repeat(y, n, axis=0), seed=2)
    assert mind(x, y, seed=2) == pytest.approx(equal, rel=1e-12)
    assert mind(y, x, seed=2) == pytest.approx(equal, rel=1e-12)


@pytest.mark.parametrize("seed", [0, 2020])
def test_torch_fidelity_with_the_same_seed(seed):
    x, y = normal(200, 32, 0), 1.1 * normal(200, 32, 1) + 0.1
    assert mind(x, y, seed=seed, projections=300)[0] == pytest.approx(torch_fidelity(x, y, seed, 300), rel=1e-5)


def test_blocks_of_directions_change_nothing(monkeypatch):
    x, y = normal(20, 4, 0), normal(20, 4, 1)
    whole = mind(x, y, seed=0, projections=50)
    monkeypatch.setattr(sliced, "_DIRECTIONS_AT_A_TIME", 7)
    assert mind(x, y, seed=0, projections=50) == pytest.approx(whole, rel=1e-12)
    assert mind(x, y, seed=1, projections=50)[0] != whole[0]


def test_float64_far_from_the_origin():
    x, y = normal(50, 3, 0), normal(50, 3, 1)
    assert mind(x + 1e6, y + 1e6, seed=0)[0] == pytest.approx(mind(x, y, seed=0)[0], rel=1e-7)


def test_bad_sets():
    x = normal(5, 3, 0)
    with pytest.raises(UsageError, match="3 and 2 dimensions"):
        mind(x, x[:, :2], seed=0)
    with pytest.raises(UsageError, match="empty"):
        mind(x, x[:0], seed=0)
    with pytest.raises(UsageError, match="0 directions"):
        mind(x, x, seed=0, projections=0)
    with pytest.raises(DivergedError, match="NaN"):
        mind(x, x * np.nan, seed=0)
