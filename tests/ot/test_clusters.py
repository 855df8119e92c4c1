"""The search among clusters of codes, against scores of all codes."""

import math

import pytest
import torch

from genrev_cli.ot.cells import judge, mass_centres
from genrev_cli.ot.clusters import PROBES, ClusterSearch
from genrev_cli.ot.initial import merge
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.ot.semidiscrete import SolverConfig, build_solver
from genrev_cli.ot.source import SOURCES, Cube


def mixture(n, d, modes=8, spread=0.3):
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(modes, d, generator=generator)
    return centres[torch.arange(n) % modes] + spread * torch.randn(n, d, generator=generator)


def heights_of(codes):
    """Heights that are far from equal, with every cell in play."""
    y = codes - codes.mean(0)
    return (-0.3 * y.square().sum(1) + 0.05 * torch.randn(len(y), generator=torch.Generator().manual_seed(1))).double()


def drawn(d, n, purpose="test", source="cube"):
    return SOURCES[source](d, torch.device("cpu"), 0, purpose).batch(0, n)


def both(codes, precision="fp32", source="cube"):
    """The search, ready with a measured length, the exact kernels, and the share of codes that it scores."""
    heights, search = heights_of(codes), ClusterSearch(codes, 0, precision)
    margin, share = search.measured(codes, heights, drawn(codes.shape[1], PROBES, "probe", source))
    return search.lift(heights, margin), build_scores(centred(codes), precision).lift(heights - heights.mean()), share


@pytest.mark.parametrize("source", ["cube", "gaussian"])
def test_it_finds_the_winners_among_few_codes(source):
    codes = mixture(6000, 32)
    search, exact, share = both(codes, source=source)
    x = drawn(32, 5000, source=source)
    assert share < 0.4
    assert (search.argmax(x) == exact.argmax(x)).double().mean() >= 0.997  # 99.9 % were measured on 1,024 samples


def test_with_the_length_of_the_samples_it_is_exact():
    """The inequality of Cauchy and Schwarz; codes and samples of any number, and clusters of any size."""
    for n in (1, 2, 63, 1000):
        codes, x = mixture(n, 6), drawn(6, 5001)
        heights, search = heights_of(codes), ClusterSearch(codes, 0)
        search.lift(heights, float(x.norm(dim=1).max()))
        exact = build_scores(centred(codes)).lift(heights - heights.mean())
        assert (search.argmax(x) == exact.argmax(x)).double().mean() > 0.9995  # equal scores up to rounding
        torch.testing.assert_close(search.soft_counts(x, 0.02), exact.soft_counts(x, 0.02), atol=0.05, rtol=1e-3)


def test_soft_counts_are_those_of_all_codes():
    codes, x = mixture(6000, 32), drawn(32, 5000)
    search, exact, _ = both(codes)
    ours, theirs = search.soft_counts(x, 0.05), exact.soft_counts(x, 0.05)
    assert ours.sum().item() == pytest.approx(len(x))
    assert (ours - theirs).abs().sum() / 2 < 0.003 * len(x)


def test_bf16_rounds_like_the_exact_kernels_in_bf16():
    codes, x = mixture(6000, 32), drawn(32, 4000)
    search, exact, _ = both(codes, "bf16")
    single, _, _ = both(codes)
    agree = (single.argmax(x) == exact.argmax(x)).double().mean()
    assert agree < 0.999
    assert (search.argmax(x) == single.argmax(x)).double().mean() > agree - 0.02
    assert (search.soft_counts(x, 0.1) - exact.soft_counts(x, 0.1)).abs().sum() / 2 < 0.02 * len(x)


def test_codes_without_clusters_are_left_to_the_exact_kernels():
    """In 64 dimensions normal codes have no clusters, and most would have to be scored."""
    codes = torch.randn(2000, 64, generator=torch.Generator().manual_seed(0))
    search = ClusterSearch(codes, 0)
    margin, share = search.measured(codes, torch.zeros(2000), drawn(64, PROBES))
    assert share > 0.5
    assert margin == math.inf
    exact, searched = (judge(codes, torch.zeros(2000), samples=5000, seed=0, search=one) for one in (None, search))
    assert searched == exact


def test_judge_and_centres_with_a_search_are_close_to_those_without():
    codes = mixture(3000, 16)
    solver = advance(build_solver(codes, None, SolverConfig(), 0), 12_000)
    search, heights = ClusterSearch(codes, 0), solver.heights()
    exact, searched = (judge(codes, heights, samples=30_000, seed=0, search=one) for one in (None, search))
    assert searched.chi2 == pytest.approx(exact.chi2, abs=0.01)
    exact, searched = (mass_centres(codes, heights, samples=30_000, seed=0, search=one) for one in (None, search))
    assert (exact != searched).any(1).double().mean() < 0.05
    assert (exact - searched).square().mean().sqrt() < 0.02


def advance(solver, samples):
    while solver.samples < samples:
        solver.step()
    return solver


def judged(solver):
    return judge(solver.target.codes, solver.heights(), samples=60_000, seed=1)


def test_the_solver_reaches_the_same_error():
    codes = mixture(4000, 32)
    plain, searching = (advance(build_solver(codes, None, SolverConfig(search=search), 0), 40_000) for search in (False, True))
    assert searching.search
    assert searching.tensors()["margin"] < math.inf
    assert judged(searching).rel < 1.15 * judged(plain).rel < 0.45


@pytest.mark.parametrize("steps", [0, 5, 60])
def test_a_search_resumed_is_uninterrupted(steps):
    """Also where the state is read in the midst of annealing, and after somebody has judged with the same search."""
    codes, config = mixture(2000, 32), SolverConfig(search=True)
    whole, first, second = (build_solver(codes, None, config, 7) for _ in range(3))
    for _ in range(70):
        whole.step()
    for _ in range(steps):
        first.step()
    second.load_tensors(first.tensors())
    judge(codes, second.heights(), samples=5000, seed=3, search=second.search)
    assert second.samples == first.samples
    while second.steps < 70:
        second.step()
    assert torch.equal(second.heights(), whole.heights())
    assert all(torch.equal(one, other) for one, other in zip(second.tensors().values(), whole.tensors().values(), strict=True))


def test_samples_of_annealing_are_counted_as_drawn(monkeypatch):
    solver, counted = build_solver(mixture(2000, 32), None, SolverConfig(search=True), 0), []
    share = Cube.share
    monkeypatch.setattr(Cube, "share", lambda self, k, n: (counted.append(n), share(self, k, n))[1])
    annealing = int(solver.tensors()["annealing"])
    for _ in range(annealing + 3):
        solver.step()
    assert annealing > 0
    assert solver.samples == sum(counted) < solver.steps * solver.batch


def test_without_a_search_the_state_is_as_before():
    assert "margin" not in build_solver(mixture(100, 4), None, SolverConfig(), 0).tensors()


def test_ranks_share_one_search(together):
    codes, config = mixture(1000, 16), SolverConfig(search=True)
    alone = advance(build_solver(codes, None, config, 0), 8_000).heights()
    for found in together(2, lambda ranks: advance(build_solver(codes, None, config, 0, ranks=ranks), 8_000).heights()):
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=0)


def test_equal_codes_are_merged_before_the_search():
    codes = mixture(200, 8)
    twice = build_solver(torch.cat([codes, codes]), None, SolverConfig(search=True), 0)
    assert len(twice.target.codes) == len(merge(codes).codes) == twice.search.n
