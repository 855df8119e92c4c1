"""Sliced Wasserstein distance (Rabin et al. 2011; Bonneel et al. 2015).

SWD₂(u, v) = ( mean over unit directions θ of W₂²(θ·u, θ·v) )^½,    in one dimension W₂² = ∫₀¹ (F_u⁻¹(q) − F_v⁻¹(q))² dq

MIND is a multiple of its square, between features of images.
"""

import math

import torch
from torch import Generator, Tensor

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims
from genrev_cli.shapes import Codes, Scalar

MIND_PROJECTIONS = 1000
"""Number of directions for MIND; torch-fidelity's default."""
_DIRECTIONS_AT_A_TIME = 64


def mind(x: Rows, y: Rows, *, seed: int, projections: int = MIND_PROJECTIONS) -> tuple[float, float]:
    """Monge Inception distance (Berthet et al. 2026, arXiv:2605.06797): 3 d · mean over unit directions θ of W₂²(θ·x, θ·y).

    x: (n, d), y: (m, d). Returns the value and its standard error over the directions (0 for a single one). A translation by t gives
    3|t|² on average over directions. The directions are torch-fidelity's for the same seed, and so is the value if n = m; torch-fidelity
    leaves out images of the larger set, while here the integral over quantiles is exact. Projections are float64.

    Raises UsageError if the dimensions differ, a set is empty or there are no directions, DivergedError for NaN.
    """
    u, v = torch.from_numpy(as_rows(x)), torch.from_numpy(as_rows(y))
    if projections < 1:
        raise UsageError(f"MIND: {projections} directions; choose at least 1")
    directions = torch.randn(projections, u.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    directions = (directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-12)).double().T
    parts = directions.split(_DIRECTIONS_AT_A_TIME, dim=1)
    found = []
    for part in parts:
        squared, widths = _quantile_differences(u, v, part)
        found.append(squared.mean(dim=0) if widths is None else widths @ squared)
    values = 3 * u.shape[1] * torch.cat(found)
    error = values.std().item() / math.sqrt(projections) if projections > 1 else 0.0
    return values.mean().item(), error


def sliced_wasserstein(u: Codes, v: Codes, *, projections: int, generator: Generator) -> Scalar:
    """Return SWD₂ of two sets of points, over `projections` uniform random directions; differentiable in u and v.

    u: (n, d), v: (m, d). n and m may differ: the integral over quantiles is exact. At u = v, where the root has no derivative, the gradient
    is 0.

    Raises UsageError if dimensions differ or a set is empty.
    """
    return _root(_mean_w2(u, v, _directions(u, projections, generator)))


def relative_sliced_wasserstein(codes: Codes, prior: Codes, other_prior: Codes, *, projections: int, generator: Generator) -> float:
    """SWD(codes, prior) / SWD(prior, prior')

    It is about 1 if the codes follow the prior, and larger if not. `prior` (m, d) and `other_prior` are independent samples of the prior,
    best as many as there are codes. Numerator and denominator use the same directions.

    Raises UsageError if dimensions differ or the prior has no width, DivergedError if codes are not finite.
    """
    if not codes.isfinite().all():
        raise DivergedError("relative sliced Wasserstein distance: the codes have NaN or infinite values")
    with torch.no_grad():
        directions = _directions(codes, projections, generator)
        scale = _root(_mean_w2(prior, other_prior, directions)).item()
        value = _root(_mean_w2(codes, prior, directions)).item()
    if scale == 0 or math.isinf(value / scale):
        raise UsageError("relative sliced Wasserstein distance: the two samples of the prior are equal; draw them independently")
    return value / scale


def _directions(like: Codes, projections: int, generator: Generator) -> Tensor:
    """Draw unit vectors (d, projections) on the generator's device in the dtype of `like`, so that they depend only on the seed."""
    directions = torch.randn(like.shape[1], projections, generator=generator, device=generator.device, dtype=like.dtype)
    return (directions / directions.norm(dim=0)).to(like.device)


def _root(squared: Scalar) -> Scalar:
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1).sqrt(), squared)  # the inner `where` keeps 0/0 out of the gradient


def _mean_w2(u: Codes, v: Codes, directions: Tensor) -> Scalar:
    """Return the squared one-dimensional distance, averaged over directions."""
    squared, widths = _quantile_differences(u, v, directions)
    return squared.mean() if widths is None else widths @ squared.mean(dim=1)


def _quantile_differences(u: Codes, v: Codes, directions: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return squared differences of quantiles along each direction, (k, P), and the widths of the k steps; None if all are equal.

    u: (n, d), v: (m, d), directions: (d, P).
    """
    require_same_dims(u.shape[1], v.shape[1])
    if not (len(u) and len(v)):
        raise UsageError("sliced Wasserstein distance: one of the two sets is empty")
    u_sorted, v_sorted = (u @ directions).sort(dim=0).values, (v @ directions).sort(dim=0).values  # (n, P), (m, P)
    if len(u) == len(v):
        return (u_sorted - v_sorted).square(), None
    # Both quantile functions are constant between neighbours of {i/n} ∪ {j/m}; in units of 1/(n m) these are integers.
    n, m = len(u), len(v)
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    widths = torch.diff(ends, prepend=ends.new_zeros(1)).to(u) / (n * m)
    at_u, at_v = ((ends - 1) // m).to(u.device), ((ends - 1) // n).to(u.device)
    return (u_sorted[at_u] - v_sorted[at_v]).square(), widths
