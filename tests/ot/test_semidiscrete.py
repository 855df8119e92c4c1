"""The solver against known solutions, on samples that it has not used."""

import itertools
import math

import ot
import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.ot.cells import judge
from genrev_cli.ot.initial import line_heights, merge
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.ot.semidiscrete import LineSolver, SolverConfig, StreamingSolver, bf16_suffices, build_solver
from genrev_cli.ot.source import Cube, Ranks


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def solved(codes, samples, weights=None, seed=0, **config):
    """Return a solver that has used so many samples."""
    return advance(build_solver(codes, weights, SolverConfig(**config), seed), samples)


def advance(solver, samples):
    while solver.samples < samples:
        solver.step()
    return solver


def judged(solver, samples=100_000):
    return judge(solver.target.codes, solver.heights(), samples=samples, seed=1, weights=solver.target.weights)


def clusters(n, d, modes, scale, seed=0):
    return 2 * normal(modes, d, seed).repeat_interleave(n // modes, 0) + scale * normal(n, d, seed + 1)


@pytest.mark.parametrize("weights", [None, 1 + torch.arange(50) % 2])
def test_descent_finds_the_heights_of_a_line(weights):
    """In one dimension the heights are known. Here the descent finds them; `build_solver` would use the formula."""
    target = merge(normal(50, 1), weights)
    solver = advance(StreamingSolver(target, 250, SolverConfig(), 0, ranks=Ranks()), 300_000)
    exact = line_heights(target)
    assert (solver.heights() - exact).abs().max() < 0.015
    assert exact.std() > 0.1


def test_one_dimension_is_solved_at_once():
    solver = solved(normal(50, 1), 1, weights=torch.arange(1.0, 51))
    assert isinstance(solver, LineSolver)
    found = judged(solver)
    assert abs(found.chi2) < 4 * found.chi2_std


def test_corners_of_a_cube_have_equal_heights(device):
    """Reflections map each code of {±1}⁶ to every other, so all heights are equal."""
    corners = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6)), device=device)
    assert solved(corners, 100_000).heights().std() < 0.02


def test_accuracy(device):
    found = judged(solved(normal(100, 8).to(device), 200_000, batch=100))
    assert found.rel + 2 * found.rel_std < 0.05
    assert found.empty == 0


@pytest.mark.parametrize("d", [10, 32])
def test_convergence(d):
    """The error is about √(n/T), as for counting T samples, and halves with four times the samples."""
    n, solver = 1000, build_solver(clusters(1000, d, 10, 0.3), None, SolverConfig(), 0)
    found = [judged(advance(solver, samples)) for samples in (10 * n, 40 * n, 160 * n)]
    assert all(0.5 < one.chi2 * samples / n < 2.5 for one, samples in zip(found, (10 * n, 40 * n, 160 * n), strict=True))
    assert found[1].rel < 0.7 * found[0].rel
    assert found[2].rel < 0.7 * found[1].rel


def test_the_average_beats_the_last_iterate():
    solver = solved(clusters(1000, 10, 10, 0.3), 40_000)
    last = judge(solver.target.codes, solver.tensors()["heights"], samples=100_000, seed=1)
    assert judged(solver).rel < 0.8 * last.rel


def test_annealing_helps_if_cells_start_far_from_their_place():
    found, without = (judged(solved(clusters(256, 2, 8, 0.02), 100_000, anneal=anneal)) for anneal in (0.25, 0.0))
    assert found.rel < 0.12
    assert found.rel < 0.7 * without.rel


def test_weights():
    weights = torch.rand(60, generator=torch.Generator().manual_seed(0)) + 0.05
    solver = solved(normal(60, 6), 200_000, weights)
    assert judged(solver).rel < 0.05
    assert judge(solver.target.codes, solver.heights(), samples=50_000, seed=1).rel > 0.4  # it differs from the solution for equal weights


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_codes(n, d, device):
    found = judged(solved(normal(n, d).to(device), 50_000))
    assert found.rel < 0.05
    assert found.empty == 0


def test_heights_move_with_the_codes():
    codes, order = normal(60, 6), torch.randperm(60, generator=torch.Generator().manual_seed(0))
    heights = solved(codes, 20_000).heights()
    assert abs(heights.mean()) < 1e-12
    close = {"atol": 1e-4, "rtol": 0}
    torch.testing.assert_close(solved(codes + 100, 20_000).heights(), heights, **close)
    torch.testing.assert_close(solved(3 * codes, 20_000).heights(), 3 * heights, **close)
    torch.testing.assert_close(solved(codes[order], 20_000).heights(), heights[order], **close)


def test_heights_hold_for_the_codes_as_given():
    codes = normal(60, 6).double() + 5
    solver, x = solved(codes, 20_000), Cube(6, torch.device("cpu"), 0, "test").batch(0, 1000)
    cells = (x.double() @ codes.T + solver.heights()).argmax(1)
    assert torch.equal(cells, build_scores(centred(codes)).lift(solver.heights()).argmax(x))


def test_equal_codes_are_merged():
    codes = normal(100, 8)
    twice, once = solved(torch.cat([codes, codes]), 20_000), solved(codes, 20_000)
    assert torch.equal(twice.heights(), once.heights())
    assert torch.equal(twice.target.index, torch.arange(100).repeat(2))


def test_nearly_equal_codes_do_not_stall():
    """For two codes 1e-5 apart rounding decides the share of each, but not their sum."""
    codes = normal(100, 8)
    solver = solved(torch.cat([codes, codes + 1e-5 * normal(100, 8, seed=1)]), 50_000)
    x = Cube(8, torch.device("cpu"), 0, "test").batch(0, 100_000)
    counts = build_scores(centred(solver.target.codes)).lift(solver.heights()).counts(x).view(2, 100).sum(0)
    assert (counts / 1000 - 1).square().mean().sqrt() < 0.08


def test_bf16_is_as_accurate():
    codes = clusters(2000, 32, 10, 0.3)
    assert bf16_suffices(codes, None, 0)
    fast, exact = (judged(solved(codes, 40_000, precision=precision)) for precision in ("bf16", "fp32"))
    assert fast.rel < 1.1 * exact.rel < 0.3


def test_bf16_is_refused_if_it_is_too_coarse():
    codes = normal(2000, 2)
    assert not bf16_suffices(codes, None, 0)
    with pytest.raises(UsageError, match="too close for precision 'bf16'; use 'fp32'"):
        build_solver(codes, None, SolverConfig(precision="bf16"), 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stop", [0, 5, 20, 40])
def test_resumed_is_uninterrupted(stop, precision):
    """Results are bit-identical for stops before the start, in the 9 annealing steps, and before and after the new gap at step 29."""
    codes, config, steps = clusters(1000, 32, 10, 0.3), SolverConfig(precision=precision), 45
    whole, first, second = (build_solver(codes, None, config, 7) for _ in range(3))
    advance(whole, steps * whole.batch)
    state = advance(first, stop * first.batch).tensors()
    first.step()  # does not change the tensors returned before
    given = {name: tensor.clone() for name, tensor in state.items()}
    second.load_tensors(state)
    assert second.samples == stop * second.batch
    advance(second, steps * second.batch)
    assert all(torch.equal(state[name], tensor) for name, tensor in given.items())
    assert torch.equal(second.heights(), whole.heights())
    assert all(torch.equal(one, other) for one, other in zip(second.tensors().values(), whole.tensors().values(), strict=True))


def test_phases():
    """The steps between which the test above stops."""
    solver, gaps = build_solver(clusters(1000, 32, 10, 0.3), None, SolverConfig(), 7), []
    for _ in range(45):
        gaps.append(solver.tensors()["gap"].item())
        solver.step()
    assert solver.tensors()["annealing"] == 9
    assert [k for k in range(1, 45) if gaps[k] != gaps[k - 1]] == [9, 29]


def test_a_resumed_line():
    first, second = solved(normal(9, 1), 1000), build_solver(normal(9, 1), None, SolverConfig(), 0)
    second.load_tensors(first.tensors())
    assert second.samples == first.samples == 1000
    assert torch.equal(second.heights(), first.heights())


def test_the_seed_decides():
    one, same, other = (solved(normal(50, 4), 5000, seed=seed).heights() for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("size", [2, 3])  # the batch is not a multiple of 3
def test_ranks_share_one_computation(size, together):
    codes = clusters(500, 8, 10, 0.3)
    alone = solved(codes, 10_000).heights()
    work = lambda ranks: advance(build_solver(codes, None, SolverConfig(), 0, ranks=ranks), 10_000).heights()  # noqa: E731
    first, *others = together(size, work)
    torch.testing.assert_close(first, alone, atol=1e-6, rtol=0)
    assert all(torch.equal(other, first) for other in others)


def test_against_pot():
    """POT's potential g of ½|x − y|² ∓ …: its cells are arg min |x − y|² − g, so h = (g − |y|²)/2."""
    codes, generator = normal(8, 3).double(), torch.Generator().manual_seed(0)
    sample = lambda batch: torch.rand(batch, 3, generator=generator, dtype=torch.float64) - 0.5  # noqa: E731
    g = ot.semidiscrete.solve_semidiscrete(codes, sample, max_iter=2000, batch_size=64)
    theirs = (g - codes.square().sum(1)) / 2
    ours = solved(codes, 128_000).heights()
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs - theirs.mean(), atol=0.03, rtol=0)


def test_batches_are_numbered():
    cube = Cube(5, torch.device("cpu"), 3, "ot")
    x = cube.batch(7, 1000)
    assert torch.equal(x, Cube(5, torch.device("cpu"), 3, "ot").batch(7, 1000))
    assert x.abs().max() <= 0.5
    assert x.std().item() == pytest.approx(1 / math.sqrt(12), rel=0.05)
    for other in (
        cube.batch(8, 1000),
        Cube(5, torch.device("cpu"), 4, "ot").batch(7, 1000),
        Cube(5, torch.device("cpu"), 3, "x").batch(7, 1000),
    ):
        assert abs((x * other).mean()) < 0.005
    shares = [Cube(5, torch.device("cpu"), 3, "ot", ranks=Ranks(r, 3)).share(7, 1000) for r in range(3)]
    assert torch.equal(torch.cat(shares).sort(0).values, x.sort(0).values)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch": -1}, "batch = -1 is negative"),
        ({"eta": 0.0}, "eta = 0.0"),
        ({"eps": math.inf}, "eps = inf"),
        ({"anneal": -0.5}, "anneal = -0.5"),
        ({"precision": "fp16"}, "precision = 'fp16' is unknown; choose fp32, bf16"),
    ],
)
def test_bad_configs(wrong, said):
    with pytest.raises(UsageError, match=said):
        SolverConfig(**wrong)


def test_bad_codes():
    with pytest.raises(DivergedError, match="NaN"):
        build_solver(torch.full((3, 2), math.nan), None, SolverConfig(), 0)
    with pytest.raises(UsageError, match="3 positive weights"):
        build_solver(torch.ones(3, 2), torch.ones(2), SolverConfig(), 0)
