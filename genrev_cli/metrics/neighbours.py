"""Fidelity and diversity as separate numbers, measured with nearest-neighbour balls.

B(x) is the ball around x whose radius is the distance to the k-th nearest other point of x's own set.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from genrev_cli.errors import UsageError
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims

_CHUNK_ENTRIES = 1 << 23  # distances held at a time: 64 MB


class PRDC(NamedTuple):
    """precision, recall and coverage in [0, 1]; density ≥ 0, about 1 if the sets are alike."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Rows, fake: Rows, *, k_precision: int = 3, k_density: int = 5) -> PRDC:
    """Improved precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    real: (n, d), fake: (m, d).
    precision: share of fake points inside some B(real). recall: share of real points inside some B(fake). Both use k = k_precision.
    density: mean number of balls B(real) around a fake point, divided by k. coverage: share of the balls B(real) that contain a fake
    point. Both use k = k_density. A point on the sphere, up to rounding, counts as inside. Distances are float64, in chunks of rows.

    Raises UsageError if a set has k points or fewer or the dimensions differ, DivergedError for NaN.
    """
    x, y = as_rows(real, "real"), as_rows(fake, "fake")
    require_same_dims(x.shape[1], y.shape[1])
    ks = (k_precision, k_density)
    if not 1 <= min(ks) <= max(ks) < min(len(x), len(y)):
        raise UsageError(f"neighbours: k = {min(ks)} and {max(ks)} must be at least 1 and less than the samples, {len(x)} and {len(y)}")
    centre = x.mean(axis=0)
    x, y = x - centre, y - centre  # centred, |x|² + |y|² − 2 x·y loses fewest digits
    slack = 1e-12 * max(np.square(x).sum(1).max(), np.square(y).sum(1).max())
    real_near, real_far = _squared_radii(x, ks) + slack
    fake_near, _ = _squared_radii(y, ks) + slack
    precise = dense = 0
    recalled, covered = np.zeros(len(x), bool), np.zeros(len(x), bool)
    for rows, squared in _distances(y, x):
        precise += (squared <= real_near).any(axis=1).sum()
        recalled |= (squared <= fake_near[rows, None]).any(axis=0)
        inside = squared <= real_far
        dense += inside.sum()
        covered |= inside.any(axis=0)
    return PRDC(float(precise / len(y)), float(recalled.mean()), float(dense / (k_density * len(y))), float(covered.mean()))


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield squared distances of a's rows to all rows of b, a chunk of rows at a time."""
    a_squared, b_squared = np.square(a).sum(1), np.square(b).sum(1)
    step = max(1, _CHUNK_ENTRIES // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        yield rows, a_squared[rows, None] + b_squared - 2 * a[rows] @ b.T


def _squared_radii(points: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Return each point's squared distance to its k-th nearest other point: (len(ks), n)."""
    radii = np.empty((len(ks), len(points)))
    places = [k - 1 for k in ks]
    for rows, squared in _distances(points, points):
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = np.inf  # a point is not its own neighbour
        radii[:, rows] = np.partition(squared, places, axis=1)[:, places].T
    return radii
