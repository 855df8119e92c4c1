"""Paths between codes: their ends, their middle and their length."""

import math

import pytest
import torch

from genrev_cli.latents.paths import PATHS, eased, lerp, slerp

T = torch.linspace(0, 1, 9, dtype=torch.float64)


def pair(d=16):
    return torch.randn(2, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_ends(path):
    a, b = pair()
    points = path(a, b, T)
    assert points.shape == (9, 16)
    torch.testing.assert_close(points[0], a, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(points[-1], b, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_reversed_path_has_the_same_codes(path):
    a, b = pair()
    torch.testing.assert_close(path(b, a, T), path(a, b, T).flip(0), rtol=1e-12, atol=1e-12)


def test_lerp():
    a, b = torch.tensor([1e8, 7.0]), torch.tensor([1.0, -1.0])
    points = lerp(a, b, torch.tensor([0.0, 0.25, 1.0]))
    assert torch.equal(points[0], a)  # to the bit; a + (b − a) would be rounded
    assert torch.equal(points[2], b)
    torch.testing.assert_close(points[1], torch.tensor([7.5e7, 5.0]))


def test_slerp_keeps_the_norm_and_constant_angular_speed():
    a, b = torch.nn.functional.normalize(pair(), dim=1)
    points = slerp(a, b, T)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(9, dtype=torch.float64), rtol=1e-12, atol=0)
    steps = torch.acos((points[1:] * points[:-1]).sum(1))
    torch.testing.assert_close(steps, torch.acos(a @ b).expand(8) / 8, rtol=1e-6, atol=0)


def test_slerp_by_hand():
    """On the quarter turn from 2·e₁ to 2·e₂ the middle is √2·(e₁ + e₂)."""
    a, b = 2 * torch.eye(2, dtype=torch.float64)
    (middle,) = slerp(a, b, torch.tensor([0.5], dtype=torch.float64))
    torch.testing.assert_close(middle, torch.full((2,), math.sqrt(2), dtype=torch.float64))


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, 1 + 1e-9])
def test_parallel_codes_are_joined_by_a_line(factor):
    a, _ = pair()
    points = slerp(a, factor * a, T)
    assert points.isfinite().all()
    torch.testing.assert_close(points, lerp(a, factor * a, T))


def test_easing_starts_and_arrives_with_velocity_0_and_is_symmetric():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    s = eased(t)
    assert (s[0], s[-1]) == (0, 1)
    assert (s.diff() > 0).all()
    torch.testing.assert_close(s, 1 - s.flip(0))
    assert max(s[1], 1 - s[-2]) < 0.001
