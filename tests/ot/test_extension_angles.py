"""Dihedral angles between cells, and the choice of θ from them."""

import math

import pytest
import torch
from extension_cases import angles_of, cube, extension, line, normal, one_mode, seeded

from genrev_cli.ot.angles import auto_theta, normals
from genrev_cli.ot.extension import statistics


def test_normals():
    codes = normal(50, 4, 1)
    n = normals(codes)
    assert (n.norm(dim=1) - 1).abs().max() < 1e-14
    y = -n[:, :4] / n[:, 4:]
    assert y.mean(0).abs().max() < 1e-14
    assert y.var(0, correction=0).sum().item() == pytest.approx(1)
    assert (normals(7 * codes + 3) - n).abs().max() < 1e-13
    assert normals(codes[:1]).tolist() == [[0, 0, 0, 0, -1]]


def test_theta_of_one_mode_is_the_median():
    p, x = one_mode(), cube(4000, 5, 3)
    angles = angles_of(p, x)
    theta = auto_theta(angles)
    assert (angles <= theta).double().mean().item() == pytest.approx(0.5, abs=1e-3)
    assert statistics(extension(p, x, theta=theta), angles)["interpolated"] > 0.95


def lumps(*parts, n=1000):
    """Return random angles (n, Σ): for every x, the given number from each range [low, high]."""
    drawn = [low + (high - low) * torch.rand(n, count, generator=seeded(count), dtype=torch.float64) for low, high, count in parts]
    return torch.cat(drawn, dim=1)


def test_theta_in_a_gap():
    assert auto_theta(lumps((0.1, 0.3, 15), (1.2, 1.5, 4))) == pytest.approx(math.sqrt(0.3 * 1.2), rel=0.01)
    # the lowest of two gaps: groups of modes are not modes
    assert auto_theta(lumps((0.1, 0.2, 10), (0.3, 0.4, 5), (1.2, 1.5, 4))) == pytest.approx(math.sqrt(0.2 * 0.3), rel=0.01)
    # one in 2000 angles in the gap does not hide it
    stray = lumps((0.1, 0.3, 15), (1.2, 1.5, 4))
    stray[:10, 0] = torch.linspace(0.4, 1.1, 10)
    assert 0.3 < auto_theta(stray) < 1.2


def test_theta_without_a_gap():
    assert auto_theta(lumps((0.1, 0.5, 19))) == pytest.approx(0.3, abs=5e-3)
    far = lumps((0.1, 0.5, 19))
    far[:100, 0] = 1.5  # 0.5 %: gaps are not searched there
    assert auto_theta(far) == pytest.approx(0.3, abs=5e-3)
    # a gap between pairs of codes: few x have a neighbour below it
    assert auto_theta(torch.cat([lumps((0.001, 0.002, 1), (0.1, 0.5, 18))[:300], lumps((0.1, 0.5, 19))])) > 0.25


def test_statistics():
    p, x = line(-1, 0, 10), torch.tensor([[-0.4], [-0.2], [-0.01], [0.4]], dtype=torch.float64)
    angles = angles_of(p, x)
    found = statistics(extension(p, x, theta=0.3, drop=True), angles)
    assert {name: found[name] for name in ("interpolated", "joined", "mixed", "kept")} == {
        "interpolated": 0.5,  # −0.4 lies beyond the last centre
        "joined": 1.75,
        "mixed": 1.5,
        "kept": 0.75,
    }
    assert found["angle_1"] == angles.min()
    assert found["angle_1"] <= found["angle_50"] <= found["angle_99"] <= angles.max()
