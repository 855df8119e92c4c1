"""Kernel distances: the KID between sets of features, and a differentiable MMD for training latent codes."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims
from genrev_cli.shapes import Codes, Scalar


def kid(x: Rows, y: Rows, *, generator: np.random.Generator, subsets: int = 100, subset_size: int = 1000) -> tuple[float, float | None]:
    """Kernel inception distance (Bińkowski et al. 2018): unbiased MMD² with k(x, y) = (x·y/d + 1)³, mean over random subsets, in float64.

    x: (n, d), y: (m, d). Returns the mean over subsets, each drawn without replacement, and its standard error, which measures how much
    the value changes with the seed, not with the data. The value may be slightly negative if the sets are alike. If the subset size
    equals the size of both sets, the value is their U-statistic and the standard error is None.

    Raises UsageError if a subset is larger than a set or the dimensions differ, DivergedError for NaN.
    """
    x, y = as_rows(x), as_rows(y)
    require_same_dims(x.shape[1], y.shape[1])
    smallest = min(len(x), len(y))
    if not 2 <= subset_size <= smallest:
        raise UsageError(f"KID: subsets of {subset_size} cannot be drawn from {smallest} samples; choose a size from 2 to {smallest}")
    if subsets < 2:
        raise UsageError(f"KID: {subsets} subsets give no standard error; choose at least 2")
    if subset_size == len(x) == len(y):
        return float(_polynomial_mmd(x, y)), None
    values = [
        _polynomial_mmd(x[generator.choice(len(x), subset_size, replace=False)], y[generator.choice(len(y), subset_size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(subsets))


def _polynomial_mmd(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        k = a @ b.T / a.shape[1] + 1
        return k * k * k  # numpy's power of 3 takes 20 times as long

    def off_diagonal(k: np.ndarray) -> float:
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()


CMMD_SIGMA, CMMD_SCALE = 10.0, 1000.0
_CHUNK_ENTRIES = 1 << 22  # kernel values held at a time: 32 MB


def cmmd(x: Rows, y: Rows) -> float:
    """CMMD (Jayasumana et al. 2024): 1000 · biased MMD² with k(x, y) = exp(−|x − y|²/(2·10²)), between CLIP's image embeddings of norm 1.

    x: (n, d), y: (m, d). The squared distances of embeddings are at most 4 and k is almost 1, so k − 1 is summed, in float64.

    Raises UsageError if the dimensions differ or a set is empty, DivergedError for NaN.
    """
    x, y = as_rows(x), as_rows(y)
    require_same_dims(x.shape[1], y.shape[1])
    if not (len(x) and len(y)):
        raise UsageError("CMMD: one of the two sets is empty")
    return CMMD_SCALE * (_mean_gaussian(x, x) + _mean_gaussian(y, y) - 2 * _mean_gaussian(x, y))


def _mean_gaussian(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean of k − 1 over all pairs."""
    total, step = 0.0, max(1, _CHUNK_ENTRIES // len(b))
    b_squared = np.square(b).sum(1)
    for start in range(0, len(a), step):
        rows = a[start : start + step]
        squared = np.square(rows).sum(1)[:, None] + b_squared - 2 * rows @ b.T
        total += np.expm1(-squared.clip(0) / (2 * CMMD_SIGMA**2)).sum()
    return total / (len(a) * len(b))


def mmd(u: Codes, v: Codes, scales: Sequence[float], *, unbiased: bool = True) -> Scalar:
    """MMD²(u, v) = E k(u, u') + E k(v, v') − 2 E k(u, v),   k(u, v) = Σ_C C / (C + |u − v|²)   (Tolstikhin et al. 2018, section 4)

    The kernels are inverse multiquadratics. The result is differentiable.
    u: (n, d), v: (m, d), any float type. scales: the values of C, e.g. 2·d·s for the WAE-MMD and a² for an INN-VAE.
    The unbiased estimate leaves out pairs u = u' and may be negative. The biased one is the squared distance of the two empirical measures,
    ≥ 0 up to rounding.

    Raises UsageError if dimensions differ or the unbiased estimate has fewer than 2 samples.
    """
    require_same_dims(u.shape[1], v.shape[1])
    if unbiased and min(len(u), len(v)) < 2:
        raise UsageError("MMD: the unbiased estimate needs at least 2 samples in each set")
    return _mean_within(u, scales, unbiased) + _mean_within(v, scales, unbiased) - 2 * _multiquadratic(u, v, scales).mean()


def _mean_within(u: Codes, scales: Sequence[float], unbiased: bool) -> Scalar:
    k, n = _multiquadratic(u, u, scales), len(u)
    return (k.sum() - k.diagonal().sum()) / (n * (n - 1)) if unbiased else k.mean()


def _multiquadratic(u: Codes, v: Codes, scales: Sequence[float]) -> Tensor:
    squared = u.square().sum(1)[:, None] + v.square().sum(1)[None] - 2 * u @ v.T  # (n, m); no (n, m, d)
    squared = squared.clamp_min(0)  # rounding may make it negative
    return reduce(add, (scale / (scale + squared) for scale in scales))
