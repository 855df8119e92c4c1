"""The extended map of a complex with short edges: closed forms on a square, no code in a gap, and the choice of ε."""

import math
from types import SimpleNamespace

import pytest
import torch
from extension_cases import cube, extension, line, normal, one_mode, ten_modes, two_modes

from genrev_cli.errors import UsageError
from genrev_cli.latents.transport import TransportMap
from genrev_cli.ot.edges import auto_epsilon, distances, neighbour_edges
from genrev_cli.ot.extension import RULES, Extension, statistics

SIDE, DIAGONAL = 2.0, 8**0.5


def square():
    """Codes at (±1, ±1) with equal heights: their cells are the quadrants of the cube, with the mass centres (±¼, ±¼)."""
    codes = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    return SimpleNamespace(codes=codes, heights=torch.zeros(4, dtype=torch.float64), centres=codes / 4)


def edged(p, x, epsilon, **options):
    return extension(p, x, theta=None, epsilon=epsilon, **options)


def edges_of(p, x, **options):
    return neighbour_edges(x, p.codes, p.heights, **options)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, SIDE])
def test_edges_that_are_not_shorter_join_nothing(epsilon):
    """T̃(x) is the corner of x's quadrant. An edge as long as ε is not shorter than it."""
    x = cube(500, 2, 0)
    made = edged(square(), x, epsilon)
    assert torch.equal(made.codes, x.sign())
    assert (made.joined.sum(1) == 1).all()


def test_sides_of_a_square():
    """Between side and diagonal, x is joined with its nearer neighbour: T̃(x) = (sign x₁, 4 x₂) if |x₁| > |x₂|, clamped to the side."""
    x = cube(500, 2, 0)
    made = edged(square(), x, SIDE + 1e-9)
    wide = x.abs()[:, 0] > x.abs()[:, 1]
    inner = (4 * x).clamp(-1, 1)
    expected = torch.where(wide[:, None], torch.stack([x[:, 0].sign(), inner[:, 1]], 1), torch.stack([inner[:, 0], x[:, 1].sign()], 1))
    assert (made.joined.sum(1) == 2).all()
    assert (made.codes - expected).abs().max() < 1e-5


def test_a_whole_square():
    """If the diagonal is shorter than ε, all corners are one simplex, and T̃(x) = 4x between the centres."""
    x = cube(500, 2, 0)
    made = edged(square(), x, DIAGONAL + 1e-9)
    assert made.joined.all()
    assert (made.codes - (4 * x).clamp(-1, 1)).abs().max() < 1e-5
    assert ((made.weights > 1e-9).sum(1) <= 3).all()


def test_all_edges_of_a_simplex_are_short():
    """On a line, −1 and 1 are near 0 and not near each other, so only one of them is joined with 0."""
    p, x = line(-1, 0, 1), torch.tensor([[0.1], [-0.1]], dtype=torch.float64)
    assert edged(p, x, 1.5).joined.sum(1).tolist() == [2, 2]
    assert edged(p, x, 1.5, pairwise=False).joined.sum(1).tolist() == [3, 3]
    assert edged(p, x, 2.5).joined.sum(1).tolist() == [3, 3]


def test_no_code_in_the_gap_of_two_clusters():
    """The clusters are at ∓4 with standard deviation ½. A bound that reaches across makes codes in the gap."""
    p, x = two_modes(), cube(20_000, 3, 3)
    epsilon = auto_epsilon(edges_of(p, x))
    inside = [p.codes[p.labels == mode][:, 0] for mode in (0, 1)]
    gap = (inside[0].max().item(), inside[1].min().item())
    assert 0.2 < epsilon < gap[1] - gap[0]
    made = edged(p, x, epsilon)
    first = made.codes[:, 0]
    assert not ((first > gap[0]) & (first < gap[1])).any()
    assert statistics(made, edges_of(p, x), "edge")["interpolated"] > 0.9
    assert (edged(p, x, 10.0).codes[:, 0].abs() < 1).any()


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "nearest"])
def test_ten_clusters_are_never_mixed(rule):
    p, x = ten_modes(), cube(20_000, 8, 3)
    made = edged(p, x, auto_epsilon(edges_of(p, x)), rule=rule)
    labels = p.labels[made.indices]
    assert not (made.joined[:, 1:] & (labels[:, 1:] != labels[:, :1])).any()
    assert made.joined.sum(1).double().mean() > 1.9


def test_a_shift_and_a_scale_of_the_codes():
    p, x = one_mode(), cube(1000, 5, 3)
    made = edged(p, x, 1.5)
    moved = SimpleNamespace(codes=4 * p.codes + 1000, heights=4 * p.heights, centres=p.centres)
    again = edged(moved, x, 6.0)
    alike = (made.indices == again.indices).all(1)  # two scores may be equal up to rounding
    assert alike.double().mean() > 0.99
    assert torch.equal(made.joined[alike], again.joined[alike])
    assert (4 * made.codes + 1000 - again.codes)[alike].abs().max() < 1e-9
    assert 1 < made.joined.sum(1).double().mean() < 20


def test_distances():
    y = normal(12, 3, 5).view(2, 6, 3)
    torch.testing.assert_close(distances(y), torch.cdist(y, y, compute_mode="donot_use_mm_for_euclid_dist"), rtol=1e-12, atol=1e-7)
    torch.testing.assert_close(distances(y + 1e6), distances(y), rtol=1e-6, atol=1e-4)
    edges = edges_of(square(), torch.tensor([[0.2, 0.1]], dtype=torch.float64))
    assert edges[0].tolist() == pytest.approx([SIDE, SIDE, DIAGONAL])


def test_auto_epsilon():
    """In the lowest clear gap of the edges: between the sides of two far squares. Else the median."""
    near = torch.tensor([[1.0, 1.0, 1.1, 9.0]] * 1000, dtype=torch.float64)
    assert auto_epsilon(near) == pytest.approx((1.1 * 9.0) ** 0.5)
    even = torch.linspace(1, 2, 4000, dtype=torch.float64).view(4, 1000).T
    assert auto_epsilon(even) == pytest.approx(1.5, abs=1e-3)
    assert auto_epsilon(torch.zeros(5, 0)) == 0


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"epsilon": -1.0}, "ε at least 0"),
        ({"epsilon": math.nan}, "ε at least 0"),
        ({}, "give one of them"),
        ({"epsilon": 1.0, "theta": 1.0}, "give one of them"),
    ],
)
def test_bad_bounds(bounds, said):
    p = square()
    with pytest.raises(UsageError, match=said):
        Extension(p.codes, p.heights, p.centres, **bounds)


def filled(sampler):
    p = square()
    for name in ("codes", "heights", "centres"):
        getattr(sampler, name).copy_(getattr(p, name))
    return sampler


def test_a_sampler_draws_along_the_sides_of_a_square():
    """Every code lies on a side: the larger of |y₁| and |y₂| is 1. The map has ε in its config, and one of angles has no such key."""
    sampler = filled(TransportMap(2, [4], (), epsilon=[SIDE + 1e-3]))
    y = sampler.sample(1000, torch.Generator().manual_seed(0))
    assert (y.abs().amax(1) - 1).abs().max() < 1e-5
    assert (y.abs().amin(1) < 0.9).double().mean() > 0.3
    assert sampler.config["epsilon"] == [SIDE + 1e-3]
    assert "epsilon" not in TransportMap(2, [4], [1.0]).config
    again = filled(TransportMap(**{key: value for key, value in sampler.config.items() if key != "name"}))
    assert torch.equal(again.sample(1000, torch.Generator().manual_seed(0)), y)
    one = filled(TransportMap(2, [2, 2], (), epsilon=[SIDE + 1e-3, 0.0], conditional=True)).given(1)
    assert one.epsilon == (0.0,)
    with pytest.raises(UsageError, match="epsilon = 0 joins no cells; fit it with a larger --epsilon"):
        filled(TransportMap(2, [4], (), epsilon=[0.0], drop=True)).sample(3, torch.Generator().manual_seed(0))
    for bounds in ({"theta": [1.0], "epsilon": [1.0]}, {"theta": (), "epsilon": [1.0, 2.0]}, {"theta": (), "epsilon": [-1.0]}):
        with pytest.raises(UsageError):
            TransportMap(2, [4], **bounds)
