"""Real and generated codes on one plane, to show whether they lie in the same places."""

import numpy as np

from genrev_cli.errors import UsageError
from genrev_cli.memory import require_room_for_algebra
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims

PERPLEXITY = 30.0
"""Effective number of neighbours in t-SNE; 5 to 50 is usual (van der Maaten and Hinton 2008, section 2)."""
_START = 1e-4
"""Standard deviation of t-SNE's initial points along the first axis; small, so that they hardly affect the result (ibid., section 3.4)."""


def pca(x: Rows, y: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project x (n, d) and y (m, d) on the two widest principal axes of x: (n, 2), (m, 2), both centred on the mean of x.

    The third result is the share of these axes in the variance of x: (2,). If d or n allows only one axis, the second coordinate is 0.
    Raises UsageError if dimensions differ or x has fewer than 2 rows, DivergedError if a value is not finite.
    """
    x, y = _pair(x, y)
    mean = x.mean(axis=0)
    _, widths, axes = np.linalg.svd(x - mean, full_matrices=False)
    axes = axes[:2]
    axes = (
        axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    )  # the sign of an axis is arbitrary; its largest entry becomes positive
    share = widths[:2] ** 2 / max((widths**2).sum(), np.finfo(float).tiny)
    return _padded((x - mean) @ axes.T), _padded((y - mean) @ axes.T), _padded(share)


def tsne(x: Rows, y: Rows, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embed x (n, d) and y (m, d) as one set by t-SNE: (n, 2), (m, 2). It starts from `pca` and uses `perplexity(n + m)`.

    Raises like `pca`.
    """
    from sklearn.manifold import TSNE  # imported here, because it takes a second

    require_room_for_algebra()
    x, y = _pair(x, y)
    start_x, start_y, _ = pca(x, y)
    both, width = np.concatenate([x, y]), start_x[:, 0].std() or 1.0
    start = (np.concatenate([start_x, start_y]) / width * _START).astype(np.float32)
    found = TSNE(2, perplexity=perplexity(len(both)), init=start, random_state=seed).fit_transform(both)
    return found[: len(x)].astype(np.float64), found[len(x) :].astype(np.float64)


def perplexity(n: int) -> float:
    """Return the perplexity for n points: PERPLEXITY, or (n − 1)/3 if that is smaller."""
    return min(PERPLEXITY, (n - 1) / 3)


def _pair(x: Rows, y: Rows) -> tuple[np.ndarray, np.ndarray]:
    x, y = as_rows(x, "real codes"), as_rows(y, "generated codes")
    require_same_dims(x.shape[1], y.shape[1])
    if len(x) < 2 or not len(y):
        raise UsageError(f"codes on a plane: at least 2 real and 1 generated codes are needed, not {len(x)} and {len(y)}")
    return x, y


def _padded(values: np.ndarray) -> np.ndarray:
    """Pad with zeros to length 2 along the last axis."""
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, 2 - values.shape[-1])])
