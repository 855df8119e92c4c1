import numpy as np
import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics import kernel
from genrev_cli.metrics.kernel import cmmd


def unit(n, d, seed):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def cmmd_pytorch(x, y):
    """distance.mmd of cmmd-pytorch at commit f7673a9, in float64."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def k(a, b):
        return torch.exp(-(-2 * a @ b.T + (a * a).sum(1)[:, None] + (b * b).sum(1)[None]) / (2 * 10**2)).mean()

    return float(1000 * (k(x, x) + k(y, y) - 2 * k(x, y)))


@pytest.mark.parametrize("entries", [1, 100, 1 << 22])
@pytest.mark.parametrize(("n", "m"), [(30, 30), (17, 40)])
def test_cmmd_pytorch(monkeypatch, entries, n, m):
    monkeypatch.setattr(kernel, "_CHUNK_ENTRIES", entries)
    x, y = unit(n, 16, 0), unit(m, 16, 1)
    assert cmmd(x, y) == pytest.approx(cmmd_pytorch(x, y), abs=1e-9)


def test_two_points():
    """MMD² = 2 (1 − k(x, y)) with |x − y|² = 2 for orthogonal embeddings."""
    x, y = np.eye(2)[:1], np.eye(2)[1:]
    assert cmmd(x, y) == pytest.approx(2000 * (1 - np.exp(-2 / 200)), rel=1e-12)
    assert cmmd(x, x) == 0


def test_close_embeddings_keep_their_digits():
    """For |x − y| = ε, MMD² is ε²/σ² up to terms of ε⁴: 1 − k itself would have no digits left."""
    epsilon = 1e-6
    x, y = np.array([[1.0, 0.0]]), np.array([[1.0, epsilon]])
    assert cmmd(x, y) == pytest.approx(1000 * epsilon**2 / 100, rel=1e-3)


def test_equal_sets():
    x = unit(50, 8, 0)
    assert cmmd(x, x[::-1]) == pytest.approx(0, abs=1e-12)
    assert cmmd(x, np.repeat(x, 2, axis=0)) == pytest.approx(0, abs=1e-12)
    assert cmmd(x, unit(60, 8, 1)) > 0


def test_bad_sets():
    x = unit(4, 3, 0)
    with pytest.raises(UsageError, match="3 and 2 dimensions"):
        cmmd(x, x[:, :2])
    with pytest.raises(UsageError, match="empty"):
        cmmd(x, x[:0])
    with pytest.raises(DivergedError, match="NaN"):
        cmmd(x, x * np.nan)
