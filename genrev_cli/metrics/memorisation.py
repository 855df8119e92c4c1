"""Nearest training images of samples, and the share of samples that are not copies of them.

Memory does not grow with the product of the numbers of images: distances are computed for blocks of both sets.
"""

from collections.abc import Callable

import numpy as np

from genrev_cli.errors import UsageError
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims

_CHUNK_ENTRIES = 1 << 22
"""Distances held at a time: 32 MB."""
_BLOCK = 4096
"""Training images whose features are float64 at a time."""


def nearest(
    points: Rows, among: Rows, k: int = 1, *, leave_out: np.ndarray | None = None, advance: Callable[[int], None] = lambda rows: None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows of `among` (m, d) to each of `points` (n, d), the nearest first: indices (n, k) int64, distances (n, k).

    leave_out: (n,) an index for each point that is not taken, so that a point of `among` is not its own neighbour. advance: is called with
    the number of rows of `among` that were looked at. Candidates are found with |x|² + |y|² − 2 x·y; the distances of those that are found
    come from differences, so that of a copy is exactly 0.

    Raises UsageError if there are fewer than k rows to choose from, a set is empty or the dimensions differ, DivergedError for NaN.
    """
    x, among = as_rows(points), np.asarray(among)
    left = len(among) - (leave_out is not None)
    if not (len(x) and 1 <= k <= left):
        raise UsageError(f"nearest images: {k} of {max(left, 0)} for {len(x)} points; give more images")
    places = np.empty((len(x), 0), np.int64)
    found = np.empty((len(x), 0))
    centre = as_rows(among[:_BLOCK]).mean(0)
    require_same_dims(x.shape[1], len(centre))
    centred = x - centre  # near the origin |x|² + |y|² − 2 x·y loses fewest digits
    for start in range(0, len(among), _BLOCK):
        block = as_rows(among[start : start + _BLOCK], first=start)
        own = None if leave_out is None else leave_out - start
        near, squared = _nearest_in(centred, block - centre, min(k, len(block)), own)
        places, found = np.concatenate([places, near + start], 1), np.concatenate([found, squared], 1)
        order = np.argsort(found, axis=1, kind="stable")[:, :k]
        places, found = np.take_along_axis(places, order, 1), np.take_along_axis(found, order, 1)
        advance(len(block))
    distances = np.stack([np.linalg.norm(x - as_rows(among[column]), axis=1) for column in places.T], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(places, order, 1), np.take_along_axis(distances, order, 1)


def _nearest_in(x: np.ndarray, block: np.ndarray, k: int, leave_out: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest rows of a block, in any order, and their squared distances, ∞ where one is left out."""
    places, found = np.empty((len(x), k), np.int64), np.empty((len(x), k))
    own = np.square(block).sum(1)
    step = max(1, _CHUNK_ENTRIES // len(block))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        squared = np.square(x[rows]).sum(1)[:, None] + own - 2 * x[rows] @ block.T
        if leave_out is not None:
            out = leave_out[rows]
            inside = np.flatnonzero((out >= 0) & (out < len(block)))
            squared[inside, out[inside]] = np.inf
        places[rows] = np.argpartition(squared, k - 1, axis=1)[:, :k]
        found[rows] = np.take_along_axis(squared, places[rows], 1)
    return places, found


def authentic(train: Rows, samples: Rows, *, advance: Callable[[int], None] = lambda rows: None) -> np.ndarray:
    """Return True for each sample that is not a near copy: d(s, t) > d(t, t'), (n,)   (Alaa et al. 2022; as in dgm-eval)

    t is the training image nearest to the sample s, and t' the training image nearest to t. A sample nearer to t than t' is counts as
    memorised. Compare the share with that of held-out images, which depends on the data.
    train: (m, d), samples: (n, d). advance: as in `nearest`; it gets 2 m rows.

    Raises UsageError for fewer than 2 training images, no samples or different dimensions, DivergedError for NaN.
    """
    train = np.asarray(train)
    if len(train) < 2:
        raise UsageError(f"AuthPct: {len(train)} training images; at least 2 are needed")
    places, distances = nearest(samples, train, advance=advance)
    hit, back = np.unique(places[:, 0], return_inverse=True)  # only these training images' neighbours are needed
    _, apart = nearest(train[hit], train, leave_out=hit, advance=advance)
    return distances[:, 0] > apart[back, 0]
