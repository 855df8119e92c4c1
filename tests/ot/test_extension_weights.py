"""The weights of the extended map: optimality, uniqueness and closed forms."""

import math

import pytest
import torch
from extension_cases import cube, extension, line, seeded

from genrev_cli.ot.simplex import barycentric_weights


@pytest.mark.parametrize("d", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_weights_are_optimal(d, spread):
    """p = Σ λ_j c_j is nearest to x in the hull if and only if ⟨c_j − p, x − p⟩ ≤ 0 for every j."""
    centres, x = spread * torch.stack([cube(20, d, seed) for seed in range(200)]), cube(200, d, 1000)
    joined = torch.rand(200, 20, generator=seeded(3)) < 0.8
    joined[:, 0] = True
    weights = barycentric_weights(x, centres, joined)
    assert (weights >= 0).all()
    assert (weights[~joined] == 0).all()
    nearest = (weights[:, :, None] * centres).sum(1)
    slack = ((centres - nearest[:, None]) * (x - nearest)[:, None]).sum(2)
    assert slack[joined].max() < 1e-6 * (centres - x[:, None]).square().sum(2).max()
    assert (weights > 0).sum(1).max() <= d + 1


@pytest.mark.parametrize("copies", [1, 2])
def test_weights_where_centres_coincide_or_lie_on_a_line(copies):
    centres = torch.linspace(-1, 1, 11).double().repeat(copies)[None, :, None] * torch.tensor([1.0, 2.0]).double()
    x = torch.tensor([[0.3, 0.6], [0.25, 0.65], [9.0, 9.0], [0.0, 0.0]], dtype=torch.float64)
    weights = barycentric_weights(x, centres.expand(4, -1, -1), torch.ones(4, 11 * copies, dtype=torch.bool))
    made = (weights[:, :, None] * centres).sum(1)
    expected = torch.tensor([[0.3, 0.6], [0.31, 0.62], [1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)  # of (¼, .65): (¼ + 1.3)/5 (1, 2)
    assert (made - expected).abs().max() < 1e-5
    assert ((weights > 0).sum(1) <= 2).all()
    assert torch.equal(
        barycentric_weights(x, centres[:, :1].expand(4, 5, -1), torch.ones(4, 5, dtype=torch.bool)).sum(1), torch.ones(4).double()
    )


@pytest.mark.parametrize("d", [2, 16])
def test_weight_of_a_centre_at_itself_is_one(d):
    centres = cube(20, d, 1)
    at = barycentric_weights(centres, centres.expand(20, -1, -1), torch.ones(20, 20, dtype=torch.bool))
    assert (at - torch.eye(20)).abs().max() < 1e-9


def test_inverse_distance():
    p, x = line(-1, 0, 1), torch.tensor([[1 / 12], [1 / 3]], dtype=torch.float64)  # centres −⅓, 0, ⅓
    made = extension(p, x, theta=math.pi, rule="inverse-distance")
    weights = torch.zeros(2, 3, dtype=torch.float64).scatter_(1, made.indices, made.weights)
    distances = torch.tensor([5 / 12, 1 / 12, 3 / 12])
    assert weights[0].tolist() == pytest.approx((1 / distances / (1 / distances).sum()).tolist(), rel=1e-6)
    assert weights[1].tolist() == pytest.approx([0, 0, 1])
