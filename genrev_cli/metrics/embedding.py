"""Codes of many dimensions on a plane, real and generated ones together, so that a reader sees whether the two lie in the same places."""

import numpy as np
from sklearn.manifold import TSNE

from genrev_cli.errors import UsageError
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims

PERPLEXITY = 30.0
"""How many neighbours t-SNE keeps together, about (van der Maaten and Hinton 2008, section 2: 5 to 50)."""
_START = 1e-4
"""Standard deviation of t-SNE's start along the first axis; small, so that the gradient and not the start decides (ibid., section 3.4)."""


def pca(x: Rows, y: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (n, d) and y (m, d) on the plane of the two widest principal axes of x alone: (n, 2), (m, 2), both centred on the mean of x.

    Third, the two axes' shares in the variance of x: (2,). Where d or n allows one axis only, the second coordinate is 0.
    Raises UsageError when dimensions differ or there are fewer than 2 rows of x, DivergedError when a value is not finite.
    """
    x, y = _pair(x, y)
    mean = x.mean(axis=0)
    _, widths, axes = np.linalg.svd(x - mean, full_matrices=False)
    axes = axes[:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]  # an axis has no direction of its own
    share = widths[:2] ** 2 / max((widths**2).sum(), np.finfo(float).tiny)
    return _padded((x - mean) @ axes.T), _padded((y - mean) @ axes.T), _padded(share)


def tsne(x: Rows, y: Rows, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """t-SNE of x (n, d) and y (m, d) as one set: (n, 2), (m, 2). It starts from the plane of `pca`; its perplexity is `perplexity(n + m)`.

    Raises like `pca`.
    """
    x, y = _pair(x, y)
    start_x, start_y, _ = pca(x, y)
    both, width = np.concatenate([x, y]), start_x[:, 0].std() or 1.0
    start = (np.concatenate([start_x, start_y]) / width * _START).astype(np.float32)
    found = TSNE(2, perplexity=perplexity(len(both)), init=start, random_state=seed).fit_transform(both)
    return found[: len(x)].astype(np.float64), found[len(x) :].astype(np.float64)


def perplexity(n: int) -> float:
    """The perplexity for n points: PERPLEXITY, or a third of the others where they are few."""
    return min(PERPLEXITY, (n - 1) / 3)


def _pair(x: Rows, y: Rows) -> tuple[np.ndarray, np.ndarray]:
    x, y = as_rows(x, "real codes"), as_rows(y, "generated codes")
    require_same_dims(x.shape[1], y.shape[1])
    if len(x) < 2 or not len(y):
        raise UsageError(f"a plane of codes: at least 2 real and 1 generated are needed, not {len(x)} and {len(y)}")
    return x, y


def _padded(values: np.ndarray) -> np.ndarray:
    """Two along the last axis."""
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, 2 - values.shape[-1])])
