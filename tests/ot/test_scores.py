"""The kernels against their definition in float64, and independence of the block size."""

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.ot.scores import DeviceScores, HostScores, build_scores, centred

SIZES = [(1, 3, 5), (2, 1, 40), (37, 4, 100), (1000, 32, 300)]  # n, d, B
sizes = pytest.mark.parametrize(("n", "d", "batch"), SIZES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(n, d, batch, device="cpu"):
    """Centred codes, heights of mean 0, samples of the cube."""
    codes = centred(torch.randn(n, d, generator=seeded(1)))
    heights = 0.3 * torch.randn(n, generator=seeded(2), dtype=torch.float64)
    x = torch.rand(batch, d, generator=seeded(3)) - 0.5
    return codes.to(device), (heights - heights.mean()).to(device), x.to(device)


def definition(codes, heights, x):
    """Compute S in float64."""
    return x.double() @ codes.double().T + heights.double()


def lifted(n, d, batch, device="cpu", **how):
    codes, heights, x = problem(n, d, batch, device)
    return build_scores(codes, **how).lift(heights), x, definition(codes, heights, x)


def difference(counts, expected):
    """Return the total variation between two counts, as a share of all samples."""
    return (counts.double() - expected).abs().sum() / expected.sum() / 2


LEFT_OUT = 1e-3  # bounds the total share of scores 7 ε below the highest


@sizes
def test_scores(n, d, batch, device):
    scores, x, exact = lifted(n, d, batch, device)
    made = torch.cat([block.clone() for _, block in scores.blocks(x)])
    assert made.dtype == torch.float32
    torch.testing.assert_close(made.double(), exact, atol=1e-5, rtol=0)
    torch.testing.assert_close(scores.potential(x).double(), exact.amax(1), atol=1e-5, rtol=0)


@sizes
def test_cells(n, d, batch, device):
    scores, x, exact = lifted(n, d, batch, device)
    cells = scores.argmax(x)
    assert torch.equal(cells, exact.argmax(1))
    assert torch.equal(scores.counts(x), torch.bincount(exact.argmax(1), minlength=n))


@sizes
@pytest.mark.parametrize("k", [1, 20])
def test_top(n, d, batch, k, device):
    scores, x, exact = lifted(n, d, batch, device)
    values, cells = scores.top(x, k)
    expected = exact.sort(1, descending=True).values[:, :k]
    assert values.shape == cells.shape == (batch, min(k, n))
    torch.testing.assert_close(values.double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(exact.gather(1, cells), expected, atol=1e-5, rtol=0)
    assert torch.equal(cells[:, 0], scores.argmax(x))


@sizes
@pytest.mark.parametrize("eps", [0.02, 0.1, 5.0])  # sparse, between, dense
def test_soft_counts(n, d, batch, eps, device):
    scores, x, exact = lifted(n, d, batch, device)
    for given in (eps, torch.tensor(eps, dtype=torch.float64, device=device)):
        counts = scores.soft_counts(x, given)
        torch.testing.assert_close(counts.sum().item(), float(batch), rtol=1e-5, atol=0)
        assert difference(counts, torch.softmax(exact / eps, 1).sum(0)) < LEFT_OUT


def test_soft_counts_are_the_gradient_of_the_smoothed_potential():
    scores, x, exact = lifted(37, 4, 100)
    heights = torch.zeros(37, dtype=torch.float64, requires_grad=True)
    eps = 0.5
    (eps * torch.logsumexp((exact + heights) / eps, 1)).sum().backward()
    torch.testing.assert_close(scores.soft_counts(x, eps), heights.grad, atol=1e-3, rtol=1e-4)


def test_soft_counts_without_smoothing_are_counts(device):
    scores, x, _ = lifted(37, 4, 500, device)
    torch.testing.assert_close(scores.soft_counts(x, 1e-7), scores.counts(x).double(), atol=0.05, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("rows", [1, 7, 64, 300])
def test_blocks_change_no_cell(rows, precision):
    whole, x, _ = lifted(1003, 10, 300, precision=precision, rows=512)
    blocks, _, _ = lifted(1003, 10, 300, precision=precision, rows=rows)
    assert torch.equal(whole.argmax(x), blocks.argmax(x))
    torch.testing.assert_close(whole.soft_counts(x, 0.1), blocks.soft_counts(x, 0.1), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_samples(precision):
    scores, x, _ = lifted(37, 4, 0, precision=precision)
    assert scores.argmax(x).shape == (0,)
    assert scores.counts(x).tolist() == scores.soft_counts(x, 0.1).tolist() == [0] * 37


def test_a_shift_of_the_codes_changes_no_cell(device):
    codes, heights, x = problem(1000, 10, 500, device)
    shifted = build_scores(centred(codes + 100)).lift(heights)
    assert torch.equal(shifted.argmax(x), build_scores(codes).lift(heights).argmax(x))
    torch.testing.assert_close(centred(codes + 100), codes, atol=1e-4, rtol=0)


def test_scaled_codes_have_the_same_cells_with_scaled_heights(device):
    codes, heights, x = problem(1000, 10, 500, device)
    assert torch.equal(build_scores(3 * codes).lift(3 * heights).argmax(x), build_scores(codes).lift(heights).argmax(x))


@sizes
def test_both_implementations_agree(n, d, batch):
    codes, heights, x = problem(n, d, batch)
    host, other = (kind(codes, "fp32", 64).lift(heights) for kind in (HostScores, DeviceScores))
    assert torch.equal(host.argmax(x), other.argmax(x))
    assert difference(host.soft_counts(x, 0.1), other.soft_counts(x, 0.1)) < LEFT_OUT


@pytest.mark.parametrize(("n", "least"), [(1, 1.0), (2, 0.95), (1000, 0.9)])
def test_bf16_finds_most_cells(n, least, device):
    scores, x, exact = lifted(n, 32, 1000, device, precision="bf16")
    assert (scores.argmax(x) == exact.argmax(1)).double().mean() >= least
    torch.testing.assert_close(scores.potential(x).double(), exact.amax(1), rtol=0.02, atol=0.02)
    assert difference(scores.soft_counts(x, 0.2), torch.softmax(exact / 0.2, 1).sum(0)) < 0.02


def test_bf16_heights_keep_sixteen_bits():
    """If a height and its product cancel, the score consists of the height's lower bits."""
    high, low = torch.tensor([-3.0, -1, 1, 3]), torch.tensor([1, 3, 0, 2]) / 512
    codes, x = -2 * high[:, None], torch.full((1, 1), 0.5)
    scores = build_scores(codes, "bf16").lift((high + low).double())
    assert scores.top(x, 4)[0][0].tolist() == [3 / 512, 2 / 512, 1 / 512, 0]
    assert scores.argmax(x).tolist() == [1]


def test_bf16_counts_every_sample_even_below_zero():
    """Maxima below 0 are computed wrongly, but no sample is lost."""
    for n in (1, 100):
        scores = build_scores(torch.zeros(n, 2), "bf16").lift(-torch.arange(1.0, n + 1))
        assert scores.soft_counts(torch.zeros(50, 2), 0.1).sum() == pytest.approx(50)


@pytest.mark.parametrize("n", [1, 10_000, 200_000])
def test_blocks_are_bounded(n):
    assert 16 <= build_scores(torch.zeros(n, 1)).rows <= max(16, (1 << 24) // n)


def test_bad_arguments():
    with pytest.raises(UsageError, match="precision = 'fp16' is unknown; choose fp32, bf16"):
        build_scores(torch.zeros(3, 2), "fp16")
    with pytest.raises(UsageError, match=r"codes must be \(n, d\), not \(0, 2\)"):
        build_scores(torch.zeros(0, 2))
