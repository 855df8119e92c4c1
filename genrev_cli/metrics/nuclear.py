"""The nuclear norm of a product of two factors, ‖F₁F₂ᵀ‖_* = Σσᵢ, for the Fréchet distance.

The σᵢ are the singular values of C = F₁F₂ᵀ, and the roots of the eigenvalues λᵢ of M = CCᵀ. Eigenvalues take half of the time, because M
is symmetric, but a small root loses digits: an error δ of λ is one of δ / 2σ of σ. If rounding changes M by E, then to first order

    |Σ√λᵢ(M + E) − Σ√λᵢ(M)| = ½ |tr M^(−½)E| ≤ ½ ‖diag E‖ (Σ 1/λᵢ)^½            (diag E in the basis of M's eigenvectors)

E is of the size ε‖M‖_F, and has no reason to prefer the d entries of its diagonal among all d²: ‖diag E‖ ≈ ‖E‖_F / √d. `error_bound` takes
`ROUNDING` times that. Where the bound is too large, singular values are computed.
"""

import numpy as np
from scipy.linalg import eigvalsh, svdvals
from scipy.linalg.blas import dsyrk, dtrmm
from scipy.linalg.lapack import dtrtrs

LEAST_DIMS = 128
"""Below this the singular values take only milliseconds."""

ROUNDING = 8.0
"""Factor of `error_bound`. The largest error measured, at d = 5, is 0.3 of the bound."""

_PROBES = 16


def nuclear_norm(first: np.ndarray, second: np.ndarray, within: float) -> float:
    """Return ‖F₁F₂ᵀ‖_* for factors (r₁, d) and (r₂, d), with an error of at most `within`, or of singular values if that is larger."""
    if not (first.size and second.size):
        return 0.0
    if not (len(first) == len(second) >= LEAST_DIMS and _upper(first) and _upper(second)):
        return float(svdvals(first @ second.T).sum())
    cross = dtrmm(1.0, first, second.T)
    if predicted_bound(first, second, cross) <= within:
        eigenvalues = eigvalsh(dsyrk(1.0, cross, lower=1), lower=True, overwrite_a=True, check_finite=False)
        if eigenvalues[0] > 0 and error_bound(eigenvalues) <= within:
            return float(np.sqrt(eigenvalues).sum())
    return float(svdvals(cross, overwrite_a=True).sum())


def error_bound(eigenvalues: np.ndarray) -> float:
    """Return a bound of the error of Σ√λᵢ for computed eigenvalues (d,), all above 0: `ROUNDING` · ½ ε ‖λ‖ (Σ 1/λᵢ / d)^½"""
    return _bound(float(np.square(eigenvalues).sum()), float((1 / eigenvalues).mean()))


def predicted_bound(first: np.ndarray, second: np.ndarray, cross: np.ndarray) -> float:
    """Estimate `error_bound` before the eigenvalues are known: E‖Mz‖² = ‖M‖_F² and E‖C⁻¹z‖² = Σ 1/λᵢ for random signs z.

    first, second: (d, d), triangular; cross: C (d, d). ∞ if a factor is singular.
    """
    signs = np.random.default_rng(0).choice((-1.0, 1.0), size=(len(cross), _PROBES))
    half, singular_first = dtrtrs(first, signs)
    inverse, singular_second = dtrtrs(second, half, trans=1)
    if singular_first or singular_second:
        return np.inf
    product = cross @ (cross.T @ signs)
    return _bound(float(np.square(product).sum()) / _PROBES, float(np.square(inverse).mean()))


def _bound(squares: float, inverses: float) -> float:
    """squares: Σλᵢ². inverses: the mean of 1/λᵢ."""
    return float(ROUNDING * 0.5 * np.finfo(float).eps * np.sqrt(squares) * np.sqrt(inverses))


def _upper(factor: np.ndarray) -> bool:
    return factor.shape[0] == factor.shape[1] and not np.tril(factor, -1).any()
