"""Fidelity and diversity apart, by balls that reach to the k-th nearest neighbour.

B(x) is the ball about x whose radius is the distance to the k-th nearest other point of x's own set
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from genrev_cli.errors import UsageError
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims

_CHUNK_ENTRIES = 1 << 23  # distances held at a time: 64 MB


class PRDC(NamedTuple):
    """precision, recall and coverage in [0, 1]; density ≥ 0, about 1 where the sets are alike."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Rows, fake: Rows, *, k_precision: int = 3, k_density: int = 5) -> PRDC:
    """Improved precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    real: (n, d), fake: (m, d). With k_precision, precision is the share of fake points in some B(real), recall that of real points in
    some B(fake). With k_density, density is Σ over fake points of the number of B(real) around them / (k m), coverage the share of the
    B(real) that hold a fake point. A point on the sphere, up to rounding, is in the ball. Distances are float64, in chunks of rows.

    Raises UsageError when a set has not more than k points or the dimensions differ, DivergedError on NaN.
    """
    real, fake = as_rows(real, "real"), as_rows(fake, "fake")
    require_same_dims(real.shape[1], fake.shape[1])
    ks = (k_precision, k_density)
    if not 1 <= min(ks) <= max(ks) < min(len(real), len(fake)):
        raise UsageError(f"neighbours: k = {min(ks)} and {max(ks)} need more than k ≥ 1 samples, not {len(real)} and {len(fake)}")
    centre = real.mean(axis=0)
    real, fake = real - centre, fake - centre  # |x|² + |y|² − 2 x·y loses fewest digits about the centre
    slack = 1e-12 * max(np.square(real).sum(1).max(), np.square(fake).sum(1).max())
    real_near, real_far = _squared_radii(real, ks) + slack
    fake_near, _ = _squared_radii(fake, ks) + slack
    precise = dense = 0
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, squared in _distances(fake, real):
        precise += (squared <= real_near).any(axis=1).sum()
        recalled |= (squared <= fake_near[rows, None]).any(axis=0)
        inside = squared <= real_far
        dense += inside.sum()
        covered |= inside.any(axis=0)
    return PRDC(float(precise / len(fake)), float(recalled.mean()), float(dense / (k_density * len(fake))), float(covered.mean()))


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of a's rows to all of b, so many rows at a time."""
    a_squared, b_squared = np.square(a).sum(1), np.square(b).sum(1)
    step = max(1, _CHUNK_ENTRIES // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        yield rows, a_squared[rows, None] + b_squared - 2 * a[rows] @ b.T


def _squared_radii(points: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """(len(ks), n): each point's squared distance to its k-th nearest other point."""
    radii = np.empty((len(ks), len(points)))
    places = [k - 1 for k in ks]
    for rows, squared in _distances(points, points):
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = np.inf  # not its own neighbour
        radii[:, rows] = np.partition(squared, places, axis=1)[:, places].T
    return radii
