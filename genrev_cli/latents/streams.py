"""Random numbers by their place in a stream, so that the draw of a sample depends only on its number."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_WORDS = 4  # numbers that Philox makes for each value of its counter
_MOST_SKIPPED = 64  # for smaller gaps, to draw and discard numbers is faster than to start at a new place


def uniforms(seed: int, numbers: Sequence[int], width: int) -> Tensor:
    """Return u ~ U[0, 1) for each number, (n, width) float64 on the CPU: a pure function of (seed, number).

    Number i uses the counter values i·c to (i + 1)·c − 1 of a Philox stream (Salmon et al. 2011). Its key is the seed, c = ⌈width / 4⌉.
    """
    wanted, counts = np.asarray(numbers, dtype=np.int64), -(-width // _WORDS)
    drawn = np.empty((len(wanted), width))
    order = np.argsort(wanted, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(wanted[order]) > _MOST_SKIPPED) + 1)
    for run in runs if len(wanted) else ():
        first, last = int(wanted[run[0]]), int(wanted[run[-1]])
        stream = np.random.Generator(np.random.Philox(key=seed, counter=first * counts))
        block = stream.random((last - first + 1, counts * _WORDS))
        drawn[run] = block[wanted[run] - first, :width]
    return torch.from_numpy(drawn)


def normal(u: Tensor) -> Tensor:
    """Return Φ⁻¹(u) ~ N(0, 1) in float64 for u ~ U[0, 1), of any shape. 0, which has no quantile, becomes half the least other value."""
    return torch.special.ndtri(u.double().clamp_min(torch.finfo(u.dtype).eps / 4))
