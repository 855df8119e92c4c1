"""Benchmarks of transport: the published algorithms are implemented correctly, and both sides do the same work."""

import math

import pytest
import torch

from genrev_cli.bench import ot_minibatch, ot_semidiscrete, run
from genrev_cli.bench.ot_minibatch import WAYS, problem, published_loss, step
from genrev_cli.bench.ot_semidiscrete import Budget, Contest, mixture, published_heights
from genrev_cli.ot.discrete import LEAST_SQUARE
from genrev_cli.ot.initial import line_heights, merge
from genrev_cli.settings.bench import BenchOptions

CPU = torch.device("cpu")


def options(*only):
    return BenchOptions(only=only, rounds=1, threads=1, device="cpu", quick=True, bf16=True)


def test_the_published_loss_of_points_on_a_line():
    # Sorted points are matched in order: |0 − 1|, |2 − 4| and two equal points.
    x, s = torch.tensor([[2.0], [7.0], [0.0]], dtype=torch.float64), torch.tensor([[1.0], [4.0], [7.0]], dtype=torch.float64)
    assert published_loss(x, s).item() == pytest.approx((1 + 2 + math.sqrt(LEAST_SQUARE)) / 3, rel=1e-12)


@pytest.mark.parametrize("classes", [1, 3])
def test_all_variants_have_the_same_loss_and_gradient(classes):
    given = ot_minibatch.Problem(*(tensor.detach().double().requires_grad_() for tensor in problem(classes, 40, 16, CPU)))
    published, *ours = (step(loss, given) for loss in WAYS.values())
    assert published.gradient.shape == (classes * (40 + 2) * 16,)
    for found in ours:
        torch.testing.assert_close(found.loss, published.loss, rtol=1e-12, atol=0)
        torch.testing.assert_close(found.gradient, published.gradient, rtol=1e-9, atol=1e-14)


def test_the_mini_batch_section(tmp_path):
    one, ten = run.bench("ot", tmp_path / "b.json", options("minibatch")).numbers["tables"]
    assert [row["variant"] for row in one["rows"]] == ["published", "genrev"]
    assert all(row["error"] <= 1e-6 for row in one["rows"] + ten["rows"])
    differences = 128 * 128 * 256 * 4 / 1e6
    assert 2 * differences < one["rows"][0]["extra_peak_mb"] < 4.5 * differences
    assert one["rows"][1]["extra_peak_mb"] < differences


def test_the_mixture_has_distant_modes():
    codes = mixture(2000, 32)
    modes = codes.unflatten(0, (-1, 10))  # (200, 10, d)
    assert codes.std().item() == pytest.approx(1, abs=0.2)
    spread = modes.std(0)
    assert 0.12 < spread.min() < 0.2 < 0.4 < spread.max() < 0.52
    own = torch.arange(len(codes)) % 10
    assert torch.equal(torch.cdist(codes, modes.mean(0)).argmin(1), own)


def test_the_first_published_step():
    # The middle one of three codes on a line has no cell at h = 0, so |g| is 1/3 or 1/6, and uncorrected Adam steps 0.05 · 0.1/√0.001.
    codes = torch.tensor([[-1.0], [0.0], [1.0]])
    first = published_heights(codes, Budget(iterations=1, batch=256, batches=1))
    up = 0.05 * 0.1 / math.sqrt(0.001)
    torch.testing.assert_close(first.heights, torch.tensor([-up, up, -up]) - -up / 3, rtol=1e-4, atol=0)


def test_the_published_solver_finds_known_heights_and_stops():
    codes = torch.tensor([[-1.0], [0.0], [0.5], [2.0]])
    budget = Budget(iterations=2000, batch=1024, batches=1)
    found = published_heights(codes, budget)
    assert found.samples < budget.iterations * budget.batch
    torch.testing.assert_close(found.heights.double(), line_heights(merge(codes)), rtol=0, atol=0.01)


def test_the_published_solver_repeats_and_doubles_its_samples(monkeypatch):
    monkeypatch.setattr(ot_semidiscrete, "RATE", 0.0)  # heights stay, so the gradient is the same whenever the points are
    codes = mixture(30, 4)
    samples = [published_heights(codes, Budget(iterations, 50, 2)).samples for iterations in (32, 33)]
    assert samples == [32 * 100, 32 * 100 + 200]


def test_genrev_stops_when_it_is_no_worse():
    contest = Contest(mixture(500, 16), Budget(iterations=40, batch=100, batches=20))
    theirs, first, second = contest.published(), contest.genrev("fp32"), contest.genrev("fp32")
    assert torch.equal(first.heights, second.heights)
    assert first.samples < theirs.samples == 80_000
    assert first.accuracy.rel <= theirs.accuracy.rel + 2 * theirs.accuracy.rel_std


def test_genrev_stops_at_the_samples_of_the_published_solver(monkeypatch):
    contest = Contest(mixture(100, 16), Budget(iterations=4, batch=500, batches=1))
    monkeypatch.setattr(ot_semidiscrete.Accuracy, "within", lambda *_: False)
    assert contest.genrev("fp32").samples == 2000


def test_the_semidiscrete_section(tmp_path):
    tables = run.bench("ot", tmp_path / "b.json", options("semidiscrete")).numbers["tables"]
    assert len(tables) == len(ot_semidiscrete.DIMS)
    for table in tables:
        published, *ours = table["rows"]
        assert [row["variant"] for row in ours] == ["genrev fp32", "genrev bf16"]
        assert all(row["error"] < published["error"] and row["samples"] < published["samples"] for row in ours)


def test_the_drawing_section(tmp_path):
    (table,) = run.bench("ot", tmp_path / "b.json", options("drawing")).numbers["tables"]
    before, ours = table["rows"]
    assert (before["variant"], ours["variant"]) == ("one by one", "genrev")
    assert before["error"] == 0
    assert ours["error"] < 1e-6
    assert ours["codes_per_second"] == pytest.approx(12 / ours["seconds"])
