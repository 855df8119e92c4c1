"""Directions of Gaussian mixtures and of matrices, whose means, planes and components are known."""

import numpy as np
import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import directions
from genrev_cli.latents.directions import SideMeans


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(n=20_000, seed=0):
    """Two Gaussians with one covariance in 6 dimensions: codes (n, 6), sides (n,), both means, the covariance."""
    source = generator(seed)
    factor = torch.randn(6, 6, generator=source, dtype=torch.float64) * 0.4 + torch.eye(6, dtype=torch.float64)
    means = torch.stack([torch.zeros(6, dtype=torch.float64), torch.tensor([0.5, -0.4, 0.3, 0, 0.2, 0], dtype=torch.float64)])
    sides = torch.arange(n) % 2
    codes = means[sides] + torch.randn(n, 6, generator=source, dtype=torch.float64) @ factor.T
    return codes, sides, means, factor @ factor.T


def angle(a, b):
    """The angle between two vectors in degrees."""
    return float(torch.rad2deg(torch.acos((a @ b / a.norm() / b.norm()).clamp(-1, 1))))


def test_the_difference_of_means_is_that_of_the_mixture():
    codes, sides, means, covariance = mixture()
    found = SideMeans(1, 6)
    for block, own in zip(codes.split(777), sides.split(777), strict=True):
        found.add(block, own[:, None])
    lacks, has = found.means(0)
    error = (has - lacks - (means[1] - means[0])).norm()
    assert error < 4 * (covariance.trace() / 5000).sqrt()  # each mean has variance tr Σ / 10,000
    plane = directions.mean_difference(lacks, has)
    assert plane.v.norm().item() == pytest.approx(1, abs=1e-12)
    assert plane.threshold == pytest.approx(float(plane.v @ (has + lacks)) / 2, abs=1e-12)


def test_means_leave_out_what_is_not_known():
    codes = torch.tensor([[1.0, 0.0], [3.0, 0.0], [100.0, 100.0], [0.0, 5.0]])
    found = SideMeans(2, 2)
    found.add(codes, torch.tensor([[1, 0], [1, 1], [-1, -1], [0, 1]]))
    lacks, has = found.means(0)
    assert (lacks.tolist(), has.tolist()) == ([0, 5], [2, 0])
    assert found.means(1)[1].tolist() == [1.5, 2.5]


def test_the_normal_of_a_classifier_is_the_direction_of_linear_discriminant_analysis():
    codes, sides, means, covariance = mixture()
    known = torch.linalg.solve(covariance, means[1] - means[0])  # Σ⁻¹ (μ₁ − μ₀)
    plane = directions.separating_plane(codes, sides, l2=1e-3)
    assert plane.converged
    assert angle(plane.v, known) < 5
    assert angle(means[1] - means[0], known) > 15, "otherwise the test cannot tell the two directions apart"
    middle = float(known @ (means[0] + means[1])) / 2 / float(known.norm())
    assert plane.threshold == pytest.approx(middle, abs=0.05)


def test_the_normal_does_not_depend_on_the_units_of_a_dimension():
    codes, sides, _, _ = mixture(2000)
    units = torch.tensor([1, 10, 0.1, 1, 1, 1], dtype=torch.float64)
    plain, scaled = (directions.separating_plane(one, sides, l2=1.0) for one in (codes, codes * units))
    assert angle(plain.v, scaled.v * units) < 0.1  # a normal is divided by the units of its dimensions


def test_accuracy_is_that_of_the_gaussians():
    """Two Gaussians N(±1, 1) are separated at 0 with accuracy Φ(1), also where one of them is rare."""
    source = generator()
    along = torch.cat([torch.randn(40_000, generator=source) + 1, torch.randn(4000, generator=source) - 1, torch.full((9,), 99.0)])
    sides = torch.cat([torch.ones(40_000), torch.zeros(4000), -torch.ones(9)])
    assert directions.balanced_accuracy(along, sides, 0.0) == pytest.approx(0.8413, abs=0.01)
    assert directions.balanced_accuracy(along, sides, -1e9) == 0.5


@pytest.mark.parametrize("others", [1, 3])
def test_a_conditioned_direction_is_orthogonal_to_the_others_and_nearest_to_its_own(others):
    v, *rest = (directions.unit(torch.randn(7, generator=generator(i), dtype=torch.float64)) for i in range(others + 1))
    found = directions.without(v, torch.stack(rest))
    assert max(abs(float(found @ other)) for other in rest) < 1e-12
    assert found.norm().item() == pytest.approx(1, abs=1e-12)
    if others == 1:  # n₁ − (n₁ᵀn₂) n₂, normalised
        assert torch.allclose(found, directions.unit(v - (v @ rest[0]) * rest[0]), atol=1e-12)
    span, _ = torch.linalg.qr(torch.stack([v, *rest]).T)
    assert torch.allclose(span @ (span.T @ found), found, atol=1e-12), "it must stay in the span of all of them"


def test_a_combination_of_the_others_leaves_nothing():
    a, b = torch.randn(2, 9, generator=generator(), dtype=torch.float64)
    with pytest.raises(UsageError, match="nothing is left"):
        directions.without(2 * a - 3 * b, torch.stack([a, b, a + b]))


@pytest.mark.parametrize("exact", [True, False], ids=["covariance", "subspace iteration"])
def test_principal_components_are_those_of_numpy(monkeypatch, exact):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 40)) * np.geomspace(10, 0.1, 40) @ np.linalg.qr(rng.normal(size=(40, 40)))[0] + 7
    if not exact:
        monkeypatch.setattr(directions, "EXACT_DIMS", 0)
    blocks = torch.from_numpy(codes).split(64)
    components, variances = directions.principal_components(
        lambda: blocks, torch.from_numpy(codes.mean(0)), 3, samples=500, generator=generator()
    )
    _, sizes, known = np.linalg.svd(codes - codes.mean(0), full_matrices=False)
    assert variances.numpy() == pytest.approx(sizes[:3] ** 2 / 500, rel=1e-6)
    for found, right in zip(components.numpy(), known[:3], strict=True):
        assert abs(found @ right) == pytest.approx(1, abs=1e-6)
        assert found[np.abs(found).argmax()] > 0


def test_signs_are_fixed():
    v = torch.tensor([0.1, -0.9, 0.3])
    assert directions.signed(v).tolist() == directions.signed(-v).tolist() == (-v).tolist()


def test_leave_one_out_is_what_it_says():
    first, second = (torch.randn(n, 3, generator=generator(n), dtype=torch.float64) + shift for n, shift in ((5, 0), (8, 0.8)))

    def right(own, other, sign):
        found = []
        for i in range(len(own)):
            rest = torch.cat([own[:i], own[i + 1 :]]).mean(0)
            lacks, has = (rest, other.mean(0)) if sign < 0 else (other.mean(0), rest)
            plane = directions.mean_difference(lacks, has)
            found.append(float(sign * (plane.v @ own[i] - plane.threshold) > 0))
        return sum(found) / len(found)

    assert directions.leave_one_out(first, second) == pytest.approx((right(first, second, -1) + right(second, first, 1)) / 2)
    assert directions.leave_one_out(first[:1], second) is None


def test_equal_means_have_no_direction():
    same = torch.ones(4, dtype=torch.float64)
    with pytest.raises(UsageError, match="the same mean"):
        directions.mean_difference(same, same)
