"""The cells of the highest scores, against all scores in float64."""

import pytest
import torch
from extension_cases import cube, normal

from genrev_cli.ot import top_cells
from genrev_cli.ot.top_cells import TopCells

N = 5000  # enough for bf16, and no multiple of a group


def plain():
    return normal(N, 7, 1, torch.float32), 0.1 * normal(N, 1, 2, torch.float32)[:, 0], 20


def equal_up_to_rounding():
    codes, heights, k = plain()
    return codes.repeat_interleave(3, 0) * (1 + 1e-7 * normal(3 * N, 1, 3, torch.float32)), heights.repeat_interleave(3), k


def duplicates():
    codes, heights, k = plain()
    return codes[torch.arange(N) % 700], heights[torch.arange(N) % 700], k


def off_centre():
    codes, heights, k = plain()
    return codes + 300, heights + 1e4, k


def an_outlier():
    codes, heights, k = plain()
    codes[17] *= 1000  # its norm increases the error bound of all scores
    return codes, heights, k


def all_of_them():
    codes, heights, _ = plain()
    return codes[:4200], heights[:4200], 4200  # the lowest scores are below 0, where bits of bf16 have the wrong order


def few():
    codes, heights, _ = plain()
    return codes[:9], heights[:9], 20


def double():
    return normal(N, 7, 1), 0.1 * normal(N, 1, 2)[:, 0], 20


PROBLEMS = [plain, equal_up_to_rounding, duplicates, off_centre, an_outlier, all_of_them, few, double]
every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)


def highest(x, codes, heights, k):
    scores = (x.double()[:, None] * codes.double()).sum(2) + heights.double()
    return scores.sort(dim=1, descending=True, stable=True).indices[:, :k]


@every_problem
@pytest.mark.parametrize("bf16", [True, False])
def test_the_highest_in_float64(problem, bf16):
    codes, heights, k = problem()
    x = cube(20, codes.shape[1], 4, codes.dtype)
    assert torch.equal(TopCells(codes, heights, k, bf16)(x), highest(x, codes, heights, k))


@pytest.mark.parametrize("problem", [plain, off_centre, few, double], ids=lambda problem: problem.__name__)
def test_the_highest_as_a_device_finds_them(problem, monkeypatch):
    monkeypatch.setattr(top_cells, "searched_by_host", lambda _: False)
    codes, heights, k = problem()
    x = cube(300, codes.shape[1], 4, codes.dtype)
    assert torch.equal(TopCells(codes, heights, k)(x), highest(x, codes, heights, k))


@pytest.mark.parametrize("bf16", [True, False])
def test_in_any_batch(bf16):
    codes, heights, k = equal_up_to_rounding()
    cells, x = TopCells(codes, heights, k, bf16), cube(300, 7, 4, torch.float32)
    found = cells(x)
    for part in (slice(0, 1), slice(299, 300), slice(100, 231), torch.arange(299, -1, -1)):
        assert torch.equal(cells(x[part]), found[part])
    assert cells(x[:0]).shape == (0, k)


def test_bf16_leaves_few_candidates_and_fp32_very_few(monkeypatch):
    codes, heights, k = plain()
    cells, x = TopCells(codes, heights, k, bf16=True), cube(200, 7, 4, torch.float32)
    counts = [len(cells._candidates(x, precision)[0]) / len(x) for precision in ("bf16", "fp32")]
    assert k <= counts[1] < 1.1 * k < counts[0] < 3 * k


@pytest.mark.parametrize(("problem", "made"), [(plain, {"bf16"}), (an_outlier, {"bf16", "fp32"})], ids=["few", "many"])
def test_fp32_chooses_where_bf16_would_leave_too_many(problem, made):
    codes, heights, k = problem()
    cells = TopCells(codes, heights, k, bf16=True)
    cells(cube(20, 7, 4, torch.float32))
    assert cells._made.keys() == made
