"""Measured accuracy against known masses, and the mass centres."""

import dataclasses

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.ot.cells import accuracy, judge, mass_centres
from genrev_cli.ot.initial import line_heights, merge
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.ot.source import Cube


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_accuracy_by_hand():
    """Σ c (c − 1) / (b M (M − 1)) − 1 for counts 3, 1 and 0."""
    found = accuracy(torch.tensor([3, 1, 0]), torch.tensor([0.5, 0.25, 0.25]))
    assert found.samples == 4
    assert found.chi2 == pytest.approx(6 / (0.5 * 12) - 1)
    assert found.empty == 1
    assert found.total_variation == pytest.approx(0.25)


@pytest.mark.parametrize("error", [0.0, 0.2])
def test_accuracy_is_unbiased_with_the_right_deviation(error):
    """Over 400 draws of 5,000 samples from masses b (1 ± error), the mean of chi2 is error², and its spread is the estimated one."""
    generator = torch.Generator().manual_seed(0)
    b = torch.rand(100, generator=generator, dtype=torch.float64) + 0.2
    b /= b.sum()
    signs = torch.ones(100, dtype=torch.float64)
    signs[1::2] = -(b[::2].sum() / b[1::2].sum())  # so that the masses add up to 1
    w = b * (1 + error * signs)
    draws = torch.multinomial(w.expand(400, -1), 5000, replacement=True, generator=generator)
    found = [accuracy(torch.bincount(draw, minlength=100), b) for draw in draws]
    chi2 = torch.tensor([one.chi2 for one in found])
    assert chi2.mean().item() == pytest.approx(((w / b - 1).square() @ b).item(), abs=4 * chi2.std().item() / 20)
    assert torch.tensor([one.chi2_std for one in found]).mean().item() == pytest.approx(chi2.std().item(), rel=0.12)


def test_accuracy_as_a_root():
    far, near = accuracy(torch.tensor([300, 100]), torch.tensor([0.5, 0.5])), accuracy(torch.tensor([200, 200]), torch.tensor([0.5, 0.5]))
    assert far.rel == pytest.approx(far.chi2**0.5)
    assert (far.rel + far.rel_std) ** 2 == pytest.approx(far.chi2 + far.chi2_std)
    assert near.chi2 < 0 == near.rel
    assert near.rel_std == pytest.approx(near.chi2_std**0.5)
    assert far.within((far.chi2 + 2.01 * far.chi2_std) ** 0.5)
    assert not far.within((far.chi2 + 1.99 * far.chi2_std) ** 0.5)


@pytest.mark.parametrize("height", [0.0, 0.5, -0.8])
def test_judge_of_two_cells(height, device):
    """The cells of codes ∓1 with heights 0 and h meet at x = −h/2, so the masses are (1 ∓ h)/2 and chi2 = h²."""
    codes, heights = torch.tensor([[-1.0], [1.0]], device=device), torch.tensor([0, height], device=device)
    found = judge(codes, heights, samples=20_000, seed=0)
    assert found.chi2 == pytest.approx(height**2, abs=4 * found.chi2_std)
    right = judge(codes, heights, samples=20_000, seed=0, weights=torch.tensor([1 - height, 1 + height], device=device) / 2)
    assert abs(right.chi2) < 4 * right.chi2_std


def test_judge_of_exact_heights():
    target = merge(normal(50, 1), torch.arange(1.0, 51))
    found = judge(target.codes, line_heights(target), samples=200_000, seed=0, weights=target.weights)
    assert abs(found.chi2) < 4 * found.chi2_std < 1e-3
    assert found.empty == 0
    assert judge(target.codes, line_heights(target), samples=200_000, seed=0).rel > 0.5


def test_judge_depends_only_on_its_seed():
    codes, heights = normal(30, 3), torch.zeros(30)
    one, same, other = (judge(codes, heights, samples=10_001, seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    assert one.samples == 10_001


def test_judge_uses_no_sample_of_a_fit():
    codes, heights = normal(30, 3), torch.zeros(30)
    x = Cube(3, torch.device("cpu"), 1, "ot").batch(0, 5000)
    of_the_fit = accuracy(build_scores(centred(codes)).counts(x), torch.full((30,), 1 / 30, dtype=torch.float64))
    assert judge(codes, heights, samples=5000, seed=1) != of_the_fit


def test_overfitting_to_fixed_samples_is_detected():
    """Heights can divide 2n fixed samples nearly equally, although the masses of the cells differ."""
    n, d = 50, 8
    codes, x = normal(n, d), Cube(d, torch.device("cpu"), 0, "ot").batch(0, 2 * n)
    scores, heights, weights = build_scores(centred(codes)), torch.zeros(n, dtype=torch.float64), torch.full((n,), 1 / n)
    for k in range(1500):
        heights -= 0.3 / (1 + 0.01 * k) * (scores.lift(heights).soft_counts(x, 0.02) / (2 * n) - weights)
    own = (scores.lift(heights).soft_counts(x, 0.02) / 2 - 1).square().mean().sqrt()
    judged = judge(codes, heights, samples=50_000, seed=0)
    assert own < 0.1
    assert judged.rel - 2 * judged.rel_std > 0.3


def test_centres_of_a_line(device):
    """Cells of [−½, ½] are intervals; their centres are the midpoints."""
    target = merge(normal(20, 1))
    centres = mass_centres(target.codes.to(device), line_heights(target).to(device), samples=100_000, seed=0).cpu()
    ends = target.weights.cumsum(0)
    order = target.codes[:, 0].argsort()
    torch.testing.assert_close(centres[order, 0].double(), ends - 0.5 / 20 - 0.5, atol=2e-3, rtol=0)


def test_centres_in_bf16_are_near_those_in_fp32():
    """Samples that bf16 gives to the neighbouring cell lie near the facet between the two."""
    codes, heights = normal(40, 16), torch.zeros(40)
    exact, rounded = (mass_centres(codes, heights, samples=40_000, seed=0, precision=precision) for precision in ("fp32", "bf16"))
    noise = 0.29 / 1000**0.5  # standard error of a centre
    assert not torch.equal(exact, rounded)
    assert (exact - rounded).square().mean().sqrt() < noise


def test_an_empty_cell_has_the_place_where_it_would_appear(device):
    """The middle one of the codes −1, 0, 1 never has the highest score; it comes closest at x = 0."""
    codes, heights = torch.tensor([[-1.0], [0.0], [1.0]], device=device), torch.tensor([0.0, -0.3, 0.0], device=device)
    centres = mass_centres(codes, heights, samples=20_000, seed=0).cpu()[:, 0]
    torch.testing.assert_close(centres, torch.tensor([-0.25, 0, 0.25]), atol=5e-3, rtol=0)


@pytest.mark.parametrize("samples", [10, 9_000])
def test_every_centre_is_in_the_cube(samples):
    codes = normal(200, 5)
    heights = 3 * normal(200, 1, seed=1)[:, 0]
    assert judge(codes, heights, samples=9_000, seed=0).empty > 20
    centres = mass_centres(codes, heights, samples=samples, seed=0)
    assert centres.isfinite().all()
    assert centres.abs().max() <= 0.5


def test_ranks_add_up(together):
    codes, heights = normal(40, 4), 0.5 * normal(40, 1, seed=1)[:, 0]
    alone = judge(codes, heights, samples=9_001, seed=0)
    assert together(3, lambda ranks: judge(codes, heights, samples=9_001, seed=0, ranks=ranks)) == [alone] * 3
    centres = mass_centres(codes, heights, samples=9_001, seed=0)
    for found in together(3, lambda ranks: mass_centres(codes, heights, samples=9_001, seed=0, ranks=ranks)):
        torch.testing.assert_close(found, centres, atol=1e-6, rtol=0)


@pytest.mark.parametrize("measure", [judge, mass_centres])
def test_bad_arguments(measure):
    with pytest.raises(UsageError, match="5 codes and 4 heights do not fit together"):
        measure(normal(5, 2), torch.zeros(4), samples=10, seed=0)
    with pytest.raises(UsageError, match="samples = 1 is too few"):
        measure(normal(5, 2), torch.zeros(5), samples=1, seed=0)


def test_accuracy_can_be_written_as_json():
    values = dataclasses.asdict(accuracy(torch.tensor([3, 1]), torch.tensor([0.5, 0.5]))).values()
    assert all(type(value) in (int, float) for value in values)
