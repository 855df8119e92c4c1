"""Time the Fréchet distance of given moments: the published tools' formulas and genrev's. The error is to a closed form."""

import inspect
import warnings
from typing import NamedTuple

import numpy as np
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy.linalg import sqrtm

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.metrics.frechet import Moments, Statistics, frechet_distance
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions

TARGET_FULL, TARGET_FEW = 8.0, 100.0


class Problem(NamedTuple):
    """Two sets of features (n, d), y = xT + b with T symmetric positive definite, and their distance.

    Such a map is the optimal map between the two Gaussians, so  FD = |Δμ|² + 1/(n−1) Σ |(x − μ₁) − (y − μ₂)|²  for every n and rank.
    """

    x: np.ndarray
    y: np.ndarray
    truth: float


def problem(n: int, d: int, seed: int) -> Problem:
    """Draw a problem whose covariances do not commute and, as for real features, have eigenvalues that decrease by a factor of 10⁴."""
    rng = np.random.default_rng(seed)
    q, r = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2))
    x = rng.standard_normal((n, d)) * np.geomspace(1, 1e-2, d) @ r
    t = q * rng.uniform(0.5, 2, d) @ q.T
    y = x @ ((t + t.T) / 2) + rng.standard_normal(d) / d
    moved = (x - x.mean(axis=0)) - (y - y.mean(axis=0))
    truth = np.square(x.mean(axis=0) - y.mean(axis=0)).sum() + np.square(moved).sum() / (n - 1)
    return Problem(x, y, float(truth))


def frechet(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure the seconds from moments to distance, at full rank and with fewer samples than dimensions, on the CPU in float64."""
    d, few = (192, 48) if options.quick else (2048, 500)
    return [_at_full_rank(4 * d, d, options, progress), _of_few_samples(few, d, options, progress)]


def _at_full_rank(n: int, d: int, options: BenchOptions, progress: Progress) -> Table:
    given = problem(n, d, derive(0, "full"))
    first, second = (_matrices(rows) for rows in (given.x, given.y))
    kept = Statistics(None, second[0], sigma=second[1])
    variants = [
        *_published(first, second),
        Variant("genrev", lambda: frechet_distance(_fresh(first), _fresh(second)), TARGET_FULL),
        Variant("genrev, reference's factor kept", lambda: frechet_distance(_fresh(first), kept)),
    ]
    return _table(f"frechet, {d} dimensions, full rank", variants, given.truth, options, progress=progress)


def _of_few_samples(n: int, d: int, options: BenchOptions, progress: Progress) -> Table:
    given = problem(n, d, derive(0, "few"))
    first, second = (_matrices(rows) for rows in (given.x, given.y))
    x, y = (_moments(rows) for rows in (given.x, given.y))
    variants = [
        *_published(first, second),
        Variant("genrev, from the matrices", lambda: frechet_distance(_fresh(first), _fresh(second))),
        Variant("genrev, from the features", lambda: frechet_distance(x, y), TARGET_FEW),
    ]
    return _table(f"frechet, {d} dimensions, {n} samples", variants, given.truth, options, progress=progress)


def _matrices(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


def _moments(rows: np.ndarray) -> Statistics:
    moments = Moments(rows.shape[1])
    moments.add(rows)
    return moments.statistics()


def _fresh(matrices: tuple[np.ndarray, np.ndarray]) -> Statistics:
    """Return new statistics, without the factor that an earlier run cached in the object."""
    return Statistics(None, matrices[0], sigma=matrices[1])


def _published(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> list[Variant]:
    return [
        Variant("pytorch-fid (sqrtm)", lambda: by_square_root(*first, *second)),
        Variant("torch-fidelity (eigvals)", lambda: by_eigenvalues(*first, *second)),
    ]


def by_square_root(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """Call pytorch-fid's own function, or compute its formula if SciPy ≥ 1.18 has removed the argument `disp` of sqrtm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns about `disp` and about singular matrices
        if "disp" in inspect.signature(sqrtm).parameters:
            return float(calculate_frechet_distance(mu1, sigma1, mu2, sigma2))
        root = sqrtm(sigma1 @ sigma2)
    return float(np.square(mu1 - mu2).sum() + np.trace(sigma1) + np.trace(sigma2) - 2 * np.trace(root).real)


def by_eigenvalues(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """Compute tr (Σ₁Σ₂)^½ as the sum of the square roots of the eigenvalues, like torch-fidelity."""
    roots = np.sqrt(np.linalg.eigvals(sigma1 @ sigma2).astype(complex)).real
    return float(np.square(mu1 - mu2).sum() + np.trace(sigma1) + np.trace(sigma2) - 2 * roots.sum())


def _table(title: str, variants: list[Variant], truth: float, options: BenchOptions, *, progress: Progress) -> Table:
    timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda value: abs(value - truth))
    return Table(title, rows, (f"error: |value − truth|, truth {truth:.6g} in closed form (y = xT + b)",))
