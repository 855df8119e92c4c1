"""Fréchet distance between Gaussians fitted to two sets of features (Dowson & Landau 1982; Heusel et al. 2017, eq. 6).

    FD = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½

For any factors Σ = FᵀF the last trace equals the nuclear norm ‖F₁ F₂ᵀ‖_*, the sum of the singular values of F₁ F₂ᵀ: their squares are
the eigenvalues of Σ₁ Σ₂. `nuclear_norm` takes square roots of eigenvalues only where their rounding costs no digits that count.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import svdvals
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpocon, dpotrf, dpstrf

from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.memory import require_room_for_algebra
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims
from genrev_cli.metrics.nuclear import nuclear_norm

BLOCK_ROWS = 1024
"""Number of rows that `Moments` adds at once, independent of the batches in which they arrive."""

TOLERANCE = 1e-12
"""Bound of the error of `frechet_distance`, in units of |Δμ|² + tr Σ₁ + tr Σ₂."""

_FIRST_ORDER_FROM = 5  # effective ranks
_WELL_CONDITIONED = 1e-9  # reciprocal condition numbers above this exclude null directions, which rounding fills to about d · 2e-16
_NOT_A_COVARIANCE = 1e-10  # a Cholesky residual above this share of the largest variance is more than rounding


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and covariance (with n − 1) of n samples in d dimensions; exactly one of `sigma` and `rows` is given.

    n: number of samples; None if a foreign file does not say. mu: (d,). sigma: (d, d).
    rows: (n, d), the centred features divided by √(n − 1), so that Σ = rowsᵀ rows. They replace Σ while n < d.

    Raises UsageError if n < 2 or the shapes do not fit, DivergedError if a value is NaN or infinite.
    """

    n: int | None
    mu: np.ndarray
    sigma: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.sigma is None) == (self.rows is None):
            raise UsageError("statistics: exactly one of sigma and rows is needed")
        if self.n is not None and self.n < 2:
            raise UsageError(f"statistics of {self.n} samples: a covariance needs at least 2")
        name = "rows" if self.sigma is None else "sigma"
        mu, second = np.asarray(self.mu, np.float64), np.asarray(getattr(self, name), np.float64)
        fits = mu.ndim == 1 and second.ndim == 2 and second.shape[1] == len(mu) and (name == "rows" or len(second) == len(mu))
        if not fits:
            raise UsageError(f"statistics: a mean of shape {mu.shape} and {name} of shape {second.shape} do not fit together")
        if not (np.isfinite(mu).all() and np.isfinite(second).all()):
            raise DivergedError("statistics: the mean or the covariance has NaN or infinite values; compute them again from valid images")
        object.__setattr__(self, "mu", mu)
        object.__setattr__(self, name, second)

    @property
    def dims(self) -> int:
        return len(self.mu)

    @property
    def covariance(self) -> np.ndarray:
        """Σ, (d, d) float64."""
        if self.sigma is not None:
            return self.sigma
        assert self.rows is not None
        return self.rows.T @ self.rows

    @cached_property
    def factor(self) -> np.ndarray:
        """F with Σ = FᵀF, (rank, d) float64. Raises FileError if Σ is not a covariance."""
        return self.rows if self.rows is not None else _cholesky(self.covariance)


class Moments:
    """Mean and covariance of features that arrive in batches, in memory that does not grow with n.

    Rows are summed in float64 in blocks of `BLOCK_ROWS`, after subtracting the mean of the first block to avoid cancellation. The result
    does not depend on the sizes of the batches, to the last bit.
    """

    def __init__(self, dims: int) -> None:
        self.n = 0
        self._buffer = np.empty((BLOCK_ROWS, dims))
        self._kept: list[np.ndarray] = []  # whole blocks, kept while there are fewer than d rows and no covariance is needed
        self._sums: _Sums | None = None

    @property
    def dims(self) -> int:
        return self._buffer.shape[1]

    def add(self, features: Rows) -> None:
        """Add features (B, d).

        Raises UsageError if d is wrong, DivergedError if a value is NaN or infinite; then no row is added.
        """
        rows = as_rows(features, first=self.n)
        require_same_dims(self.dims, rows.shape[1])
        while len(rows):
            start = self.n % BLOCK_ROWS
            taken = rows[: BLOCK_ROWS - start]
            self._buffer[start : start + len(taken)] = taken
            self.n += len(taken)
            rows = rows[len(taken) :]
            if self.n % BLOCK_ROWS == 0:
                self._close_block()

    def statistics(self) -> Statistics:
        """Return the statistics of all rows so far; more can follow. Raises UsageError if there are fewer than 2."""
        if self.n < 2:
            raise UsageError(f"only {self.n} samples: a covariance needs at least 2")
        blocks = [*self._kept, self._buffer[: self.n % BLOCK_ROWS]]
        if self.n < self.dims:
            rows = np.concatenate(blocks)
            mu = rows.mean(axis=0)
            return Statistics(self.n, mu, rows=(rows - mu) / np.sqrt(self.n - 1))
        sums = _Sums(blocks[0].mean(axis=0)) if self._sums is None else self._sums.copy()
        for block in blocks:
            sums.add(block)
        return sums.statistics(self.n)

    def _close_block(self) -> None:
        if self._sums is None and self.n < self.dims:
            self._kept.append(self._buffer.copy())
            return
        if self._sums is None:
            first = self._kept[0] if self._kept else self._buffer
            self._sums = _Sums(first.mean(axis=0))
        for block in [*self._kept, self._buffer]:
            self._sums.add(block)
        self._kept = []


class _Sums:
    """Σ(x − s) and the lower triangle of Σ(x − s)(x − s)ᵀ, for a shift s."""

    def __init__(self, shift: np.ndarray) -> None:
        require_room_for_algebra()
        self.shift = shift
        self.first = np.zeros_like(shift)
        self.second = np.zeros((len(shift), len(shift)), order="F")

    def copy(self) -> "_Sums":
        other = _Sums(self.shift)
        other.first, other.second = self.first.copy(), self.second.copy(order="F")
        return other

    def add(self, block: np.ndarray) -> None:
        """Add rows (k, d), after subtracting the shift."""
        if len(block):
            rows = block - self.shift
            self.first += rows.sum(axis=0)
            self.second = dsyrk(1.0, rows.T, beta=1.0, c=self.second, lower=1, overwrite_c=1)  # in place; rows.T is in Fortran order

    def statistics(self, n: int) -> Statistics:
        """Return the statistics, overwriting the sums."""
        offset = self.first / n
        sigma = self.second
        sigma -= np.outer(self.first, offset)
        sigma /= n - 1
        np.copyto(sigma, sigma.T, where=np.tri(len(sigma), k=-1, dtype=bool).T)
        return Statistics(n, self.shift + offset, sigma=sigma)


def _cholesky(sigma: np.ndarray) -> np.ndarray:
    """Return F (rank, d) with FᵀF = Σ, by plain Cholesky, or with full pivoting if Σ is nearly singular.

    Raises FileError if Σ is not symmetric and positive semidefinite up to rounding.
    """
    bound = _NOT_A_COVARIANCE * np.abs(sigma).max(initial=0.0)
    sound = np.abs(sigma - sigma.T).max(initial=0.0) <= bound
    factor = _plain_cholesky(sigma)
    if factor is None:
        factor = _pivoted_cholesky(sigma)
        if len(factor) < len(sigma):  # the part left out must be rounding noise
            sound = sound and np.abs(sigma - factor.T @ factor).max() <= bound
    if not sound:
        raise FileError(
            "statistics: the matrix is not a covariance in double precision (not symmetric, or with negative eigenvalues); "
            "compute the statistics again from the images"
        )
    return factor


def _plain_cholesky(sigma: np.ndarray) -> np.ndarray | None:
    """Return the upper triangular factor (d, d), or None if Σ is so near to singular that small eigenvalues may be noise."""
    factor, stopped = dpotrf(sigma.T, lower=0, clean=1)  # sigma.T is in Fortran order; so LAPACK needs no copy
    if stopped:
        return None
    reciprocal_condition, _ = dpocon(factor, np.abs(sigma).sum(axis=0).max(initial=0.0))
    return factor if reciprocal_condition > _WELL_CONDITIONED else None


def _pivoted_cholesky(sigma: np.ndarray) -> np.ndarray:
    """Return a factor (rank, d) for the numerical rank (Higham 2002, section 10.3).

    Pivots below 4 d ε times the largest are noise; LAPACK's own bound, d ε / 2, lets a few through.
    """
    noise = 4 * len(sigma) * np.finfo(float).eps * np.abs(np.diag(sigma)).max(initial=0.0)
    upper, pivots, rank, _ = dpstrf(sigma.T, lower=0, tol=noise)
    return np.take(np.triu(upper[:rank]), np.argsort(pivots), axis=1)


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """|Δμ|² + tr Σ₁ + tr Σ₂ − 2 ‖F₁ F₂ᵀ‖_*, ≥ 0; symmetric to rounding.

    The absolute error is at most `TOLERANCE` · (|Δμ|² + tr Σ₁ + tr Σ₂) at any rank; measured: 1e-14. For n < d it uses only the centred
    rows. A covariance *matrix* gives its null space only up to rounding, so there the bound holds if each eigenvalue is either zero or
    above about 1e-8 of the largest.

    Raises UsageError if dimensions differ, FileError if a Σ is not a covariance, DivergedError if the value overflows.
    """
    require_same_dims(a.dims, b.dims)
    require_room_for_algebra()
    scale = np.square(a.mu - b.mu).sum() + np.square(a.factor).sum() + np.square(b.factor).sum()
    value = scale - 2 * nuclear_norm(a.factor, b.factor, within=TOLERANCE * scale / 2)
    if not (np.isfinite(value) and value >= -TOLERANCE * scale):
        raise DivergedError(f"the Fréchet distance is {value} for moments of size {scale}, so the features are too large or not finite")
    return max(0.0, float(value))


def bias_floor(statistics: Statistics, n1: float, n2: float) -> float:
    """Return the expected Fréchet distance between n₁ and n₂ samples of one Gaussian N(μ, Σ): the bias due to small n.

    Σ is the given covariance. If few images gave it, its rank is less than their number, and the result is the bias for this Σ, not for
    the distribution of the images. n = math.inf means the exact Gaussian. The method depends on the smaller n and on the effective rank
    r = (Σ√λ)² / Σλ, with λ the eigenvalues of Σ:

    n ≥ 5 r: `_first_order_floor`. At n = 5 r it is at most 6 % too small if the other n is far larger, 1 % if both are equal.
    n < 5 r: the expectation of |Δμ|², plus the mean of the other part over (100/r)² pairs of Wishart covariances (1 to 100 pairs, with a
        fixed seed). The standard error is about 2 %, up to 5 % if r < 10. It takes at most 4 s on one core for d = 2048.

    Raises UsageError if an n is below 2.
    """
    if min(n1, n2) < 2:
        raise UsageError(f"the bias for {min(n1, n2)} samples is not defined: at least 2 are needed")
    eigenvalues = np.linalg.eigvalsh(statistics.covariance) if statistics.rows is None else np.square(svdvals(statistics.rows))
    eigenvalues = np.sort(eigenvalues)[::-1]  # so that the draws depend only on the spectrum
    eigenvalues = eigenvalues[eigenvalues > len(eigenvalues) * np.finfo(float).eps * eigenvalues.max(initial=0.0)]
    if not len(eigenvalues):
        return 0.0
    rank = np.square(np.sqrt(eigenvalues).sum()) / eigenvalues.sum()
    if min(n1, n2) >= _FIRST_ORDER_FROM * rank:
        return _first_order_floor(eigenvalues, n1, n2)
    draws, rng = min(100, math.ceil((100 / rank) ** 2)), np.random.default_rng(0)
    drawn = [frechet_distance(_wishart(eigenvalues, n1, rng), _wishart(eigenvalues, n2, rng)) for _ in range(draws)]
    return float((1 / n1 + 1 / n2) * eigenvalues.sum() + np.mean(drawn))


def _first_order_floor(eigenvalues: np.ndarray, n1: float, n2: float) -> float:
    """E[FD] ≈ (1/n₁ + 1/n₂) tr Σ + ½ (1/(n₁−1) + 1/(n₂−1)) [ Σ_ij λᵢλⱼ / (λᵢ + λⱼ) + ½ tr Σ ]

    The first term is E|Δμ|². The second is the expectation of the Bures metric ½ Σ_ij Δ_ij² / (λᵢ + λⱼ), where Δ is the difference of the
    two sample covariances in the eigenbasis of Σ. Its entries have variance (λᵢλⱼ + δ_ij λᵢ²)(1/(n₁−1) + 1/(n₂−1)) (Wishart).
    For Σ = I and n₁ = n₂ = N it is 2d/N + d(d+1)/(2N).
    """
    trace = eigenvalues.sum()
    pairs = (np.outer(eigenvalues, eigenvalues) / np.add.outer(eigenvalues, eigenvalues)).sum()
    return float((1 / n1 + 1 / n2) * trace + 0.5 * (1 / (n1 - 1) + 1 / (n2 - 1)) * (pairs + 0.5 * trace))


def _wishart(eigenvalues: np.ndarray, n: float, rng: np.random.Generator) -> Statistics:
    """Draw the covariance of n samples of N(0, diag λ), as a factor; the mean is 0. For n = ∞ it is diag λ.

    The factor is triangular, or trapezoidal for n ≤ d, so no n × d samples are drawn. Its diagonal is √χ² with n − 1, n − 2, … degrees
    of freedom, and all entries right of it are N(0, 1) (Bartlett 1933).
    """
    d, zero = len(eigenvalues), np.zeros(len(eigenvalues))
    if math.isinf(n):
        return Statistics(None, zero, rows=np.diag(np.sqrt(eigenvalues)))
    rank = int(min(n - 1, d))
    factor = np.triu(rng.standard_normal((rank, d)), 1)
    np.fill_diagonal(factor, np.sqrt(rng.chisquare(n - 1 - np.arange(rank))))
    return Statistics(None, zero, rows=factor * np.sqrt(eigenvalues / (n - 1)))
