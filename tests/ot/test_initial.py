"""Merged codes, heights in closed form, and the scales of scores."""

import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.ot.initial import ALPHAS, gaussian_heights, line_heights, merge, score_scales, starting_heights
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.ot.source import Cube


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def cube(n, d, seed=0):
    return Cube(d, torch.device("cpu"), seed, "test").batch(0, n)


def test_merge_keeps_order_and_sums_weights(device):
    codes = torch.tensor([[3.0, 0.0], [1, 2], [3, -0.0], [0, 5], [1, 2], [1, 2]], device=device)
    target = merge(codes)
    assert target.codes.tolist() == [[3, 0], [1, 2], [0, 5]]
    assert target.index.tolist() == [0, 1, 0, 2, 1, 1]
    assert torch.equal(target.codes[target.index], codes)
    torch.testing.assert_close(target.weights.cpu(), torch.tensor([2, 3, 1], dtype=torch.float64) / 6)
    weighted = merge(codes, torch.tensor([1.0, 2, 3, 4, 5, 5], device=device))
    torch.testing.assert_close(weighted.weights.cpu(), torch.tensor([4, 12, 4], dtype=torch.float64) / 20)


def test_merge_leaves_distinct_codes():
    target = merge(normal(500, 7))
    assert torch.equal(target.codes, normal(500, 7))
    assert torch.equal(target.index, torch.arange(500))
    assert (target.weights == 1 / 500).all()


@pytest.mark.parametrize(
    ("codes", "weights", "error", "said"),
    [
        (torch.zeros(0, 3), None, UsageError, r"codes \(n, d\) are needed, not \(0, 3\)"),
        (torch.zeros(3), None, UsageError, r"not \(3,\)"),
        (torch.tensor([[1.0], [torch.nan]]), None, DivergedError, "NaN or infinite"),
        (torch.zeros(2, 3), torch.ones(3), UsageError, "2 positive weights are needed"),
        (torch.zeros(2, 3), torch.tensor([1.0, 0.0]), UsageError, "2 positive weights are needed"),
        (torch.zeros(2, 3), torch.tensor([1.0, torch.inf]), UsageError, "2 positive weights are needed"),
    ],
)
def test_bad_targets(codes, weights, error, said):
    with pytest.raises(error, match=said):
        merge(codes, weights)


@pytest.mark.parametrize("weights", [None, torch.arange(1.0, 51)])
def test_line_heights(weights):
    """The lines of neighbours meet where the part of [−½, ½] on the left equals the weight of the codes so far."""
    target = merge(normal(50, 1), weights)
    heights = line_heights(target)
    y, order = target.codes[:, 0].double().sort()
    meet = -heights[order].diff() / y.diff()
    torch.testing.assert_close(meet + 0.5, target.weights[order].cumsum(0)[:-1], atol=1e-10, rtol=0)
    assert abs(heights.mean()) < 1e-12


def test_gaussian_heights_of_independent_dimensions():
    """Heights are −½ Σ y_k² / (√12 σ_k) for all sign patterns of (1, 2, 3), which have these σ_k and no correlation."""
    scale = torch.tensor([1.0, 2.0, 3.0])
    target = merge(torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3) * scale + 5)
    torch.testing.assert_close(gaussian_heights(target), torch.full((8,), -0.5 * 6 / 12**0.5, dtype=torch.float64))


def test_gaussian_heights_move_with_the_codes():
    codes, weights = normal(40, 5).double(), torch.rand(40, generator=torch.Generator().manual_seed(1)) + 0.1
    heights = gaussian_heights(merge(codes, weights))
    rotation, _ = torch.linalg.qr(normal(5, 5, seed=2).double())
    torch.testing.assert_close(gaussian_heights(merge(codes + 7, weights)), heights, rtol=1e-4, atol=0)
    torch.testing.assert_close(gaussian_heights(merge(3 * codes, weights)), 3 * heights, rtol=1e-5, atol=0)
    torch.testing.assert_close(gaussian_heights(merge(codes @ rotation, weights)), heights, rtol=1e-5, atol=0)


def test_gaussian_heights_of_a_plane():
    """Dimensions in which codes do not vary have no effect."""
    codes = normal(40, 3)
    flat = torch.cat([codes, torch.full((40, 2), 9.0)], 1)
    torch.testing.assert_close(gaussian_heights(merge(flat)), gaussian_heights(merge(codes)), rtol=1e-5, atol=1e-6)
    assert gaussian_heights(merge(codes[:1])).tolist() == [0]


@pytest.mark.parametrize("clusters", [1, 10])
def test_starting_heights_have_the_least_energy(clusters):
    codes = normal(600, 6) * 0.1 + 2 * normal(clusters, 6, seed=1).repeat(600 // clusters, 1)
    target, x = merge(codes), cube(2000, 6)
    scores = build_scores(centred(codes))
    energy = lambda h: scores.lift(h).potential(x).double().mean() - target.weights @ h  # noqa: E731
    heights, gaussian = starting_heights(target, scores, x), gaussian_heights(target)
    assert abs(heights.mean()) < 1e-9
    assert all(energy(heights) <= energy(alpha * gaussian) + 1e-5 for alpha in ALPHAS)


def test_scales_of_known_scores(device):
    """With codes of 0, scores are the heights 5, 4, 3, 2, 1, 0; the first four gaps count as Σ_{j<5} 1/j = 25/12 spacings."""
    scales = score_scales(build_scores(torch.zeros(6, 2, device=device)).lift(torch.arange(6.0, device=device)), cube(10, 2).to(device))
    assert scales.gap.item() == pytest.approx(4 / (25 / 12))
    assert scales.deviation.item() == pytest.approx((35 / 12) ** 0.5)
    assert scales.highest.item() == 5


def test_scales_of_pairs():
    """Nearly equal pairs have no gap inside; the scale is that between pairs, up to a factor 3/2 ÷ 25/12."""
    codes = centred(normal(500, 10))
    alone = score_scales(build_scores(codes), cube(1000, 10)).gap
    pairs = score_scales(build_scores(torch.cat([codes, codes + 1e-6])), cube(1000, 10)).gap
    assert 0.6 * alone < pairs < alone


def test_scales_of_many_nearly_equal_codes():
    scales = score_scales(build_scores(centred(normal(100, 10).repeat(6, 1) + 1e-7 * normal(600, 10, seed=1))), cube(1000, 10))
    assert scales.gap.item() == pytest.approx(1e-4 * scales.deviation.item())


@pytest.mark.parametrize("n", [1, 2, 3])
def test_scales_of_few_codes(n):
    scales = score_scales(build_scores(centred(normal(n, 4))), cube(100, 4))
    assert 0 < scales.gap < 10
    assert all(scale.isfinite() for scale in scales)


def test_bf16_fits_if_gaps_are_wide():
    """For scores of 10 and 10 − g, bf16 has steps of 1/16."""
    fits = [score_scales(build_scores(torch.zeros(2, 3)).lift(torch.tensor([10, 10 - gap])), cube(9, 3)).fit_bf16() for gap in (0.1, 0.5)]
    assert fits == [False, True]
