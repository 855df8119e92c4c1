import math

import numpy as np
import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics import neighbours
from genrev_cli.metrics.neighbours import PRDC, prdc


def on_line(*points):
    return np.array(points, np.float64)[:, None]


def brute_force(real, fake, k_precision, k_density):
    def radii(points, k):
        return [sorted(np.linalg.norm(points - p, axis=1))[k] for p in points]  # [0] is the point itself

    def inside(point, centres, radii):
        return np.array([np.linalg.norm(point - c) <= r * (1 + 1e-9) for c, r in zip(centres, radii, strict=True)])

    in_real = np.array([inside(y, real, radii(real, k_precision)) for y in fake])
    in_fake = np.array([inside(x, fake, radii(fake, k_precision)) for x in real])
    dense = np.array([inside(y, real, radii(real, k_density)) for y in fake])
    return PRDC(in_real.any(1).mean(), in_fake.any(1).mean(), dense.sum() / (k_density * len(fake)), dense.any(0).mean())


# Radii for k = 1 of 0, 1, 3, 7 are 1, 1, 2, 4: their balls are [-1, 1], [0, 2], [1, 5], [3, 11].
@pytest.mark.parametrize(
    ("fake", "expected"),
    [
        # 0.5 is in two balls, 4 in two, 12 in none, 20 in none; radii 3.5, 3.5, 8, 8: balls [-3, 4], [0.5, 7.5], [4, 20], [12, 28].
        ((0.5, 4, 12, 20), PRDC(0.5, 1.0, 4 / 4, 1.0)),
        # Two at −1 on the border of one ball (radius 0), two at 100 (radius 0).
        ((-1, -1, 100, 100), PRDC(0.5, 0.0, 2 / 4, 0.25)),
        # Outside everything: balls [50, 52], [50, 52].
        ((50, 51, 51.5), PRDC(0.0, 0.0, 0.0, 0.0)),
        # A copy: 0 is in 2, 1 in 3, 3 in 2, 7 in 1.
        ((0, 1, 3, 7), PRDC(1.0, 1.0, 8 / 4, 1.0)),
    ],
)
def test_by_hand(fake, expected):
    assert prdc(on_line(0, 1, 3, 7), on_line(*fake), k_precision=1, k_density=1) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("chunk", [1, 300, 1 << 23])
@pytest.mark.parametrize(("n", "m", "d"), [(30, 40, 2), (45, 20, 7)])
def test_against_brute_force_with_any_chunk_size(monkeypatch, chunk, n, m, d):
    monkeypatch.setattr(neighbours, "_CHUNK_ENTRIES", chunk)
    rng = np.random.default_rng(n)
    real, fake = rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 0.8
    assert prdc(real, fake) == pytest.approx(brute_force(real, fake, 3, 5), abs=1e-12)


def test_float64_far_from_the_origin():
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((60, 3)), rng.standard_normal((60, 3))
    assert prdc(real + 1e6, fake + 1e6) == prdc(real, fake)


def test_rounding_keeps_a_point_in_a_ball_of_radius_zero(monkeypatch):
    monkeypatch.setattr(neighbours, "_CHUNK_ENTRIES", 700)  # matrix products of other shapes round differently
    points = np.random.default_rng(4).standard_normal((31, 513))
    assert prdc(points.repeat(2, 0), points.repeat(3, 0), k_precision=1, k_density=1) == PRDC(1, 1, 2, 1)


def test_shifts_and_scales_change_nothing():
    rng = np.random.default_rng(1)
    real, fake = rng.standard_normal((80, 4)), 1.2 * rng.standard_normal((70, 4))
    q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    assert prdc(1e-3 * real @ q, 1e-3 * fake @ q) == prdc(real, fake)
    swapped = prdc(fake, real)
    assert (swapped.precision, swapped.recall) == (prdc(real, fake).recall, prdc(real, fake).precision)


def test_expected_values_of_equal_distributions():
    """Density is 1. Coverage is 1 − ∏ⱼ₌₁…ₖ (n − j) / (n + m − j), as the k nearest other points are not all real (Naeem et al. 2020)."""
    rng = np.random.default_rng(2)
    values = [prdc(rng.standard_normal((300, 3)), rng.standard_normal((300, 3))) for _ in range(20)]
    assert np.mean([v.density for v in values]) == pytest.approx(1, abs=0.03)
    assert np.mean([v.coverage for v in values]) == pytest.approx(1 - math.prod((300 - j) / (600 - j) for j in range(1, 6)), abs=0.005)


def test_mode_collapse_lowers_recall_and_coverage():
    rng = np.random.default_rng(3)
    real = rng.standard_normal((200, 2))
    result = prdc(real, 0.05 * torch.from_numpy(rng.standard_normal((200, 2))).float())
    assert result.precision == 1
    assert result.recall < 0.05
    assert result.coverage < 0.3


def test_bad_sets():
    points = np.zeros((5, 2))
    with pytest.raises(UsageError, match="less than the samples"):
        prdc(points, np.zeros((9, 2)))
    with pytest.raises(UsageError, match="2 and 3 dimensions"):
        prdc(np.zeros((9, 2)), np.zeros((9, 3)))
    with pytest.raises(DivergedError, match="fake: sample 0"):
        prdc(points, points * np.nan)
