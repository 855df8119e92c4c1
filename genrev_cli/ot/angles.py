"""Dihedral angles between the cells around a sample, and the θ below which they belong together (An et al. 2020).

θ_ij = ∠(n_i, n_j),   n_i ∝ (y_i, −1): the angle between two facets of the graph of u, large where T jumps from mode to mode
"""

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.blocks import blockwise, picked
from genrev_cli.ot.top_cells import TopCells
from genrev_cli.shapes import Codes

_CLEAR_GAP = 1.15


def normals(codes: Codes) -> Tensor:
    """n_i = (y_i, −1) / |(y_i, −1)| of centred codes with total variance Σ_dims var = 1: (n, d) → (n, d + 1), float32 or float64.

    Neither a shift nor a scale of the codes moves the angles. In the codes' own frame, which the published code takes, both do: off
    centre all normals are nearly parallel, and one threshold joins every mode.
    """
    y = codes if codes.dtype == torch.float64 else codes.float()
    y = y - y.mean(0)
    y = y / y.square().sum(1).mean().sqrt().clamp_min(torch.finfo(y.dtype).tiny)
    return torch.nn.functional.normalize(torch.cat([y, y.new_full((len(y), 1), -1)], dim=1), dim=1)


def cosines(n: Tensor) -> Tensor:
    """cos ∠(n_i, n_j) in [−1, 1], whatever the lengths: (B, k, d) → (B, k, k)."""
    gram = n @ n.mT
    length = gram.diagonal(dim1=1, dim2=2).sqrt()
    return (gram / (length[:, :, None] * length[:, None])).clamp(-1, 1)


@torch.no_grad()
def neighbour_angles(x: Codes, codes: Codes, heights: Tensor, *, k: int = 20) -> Tensor:
    """θ between x's own cell and each other one of the k highest scores, in that order: → (B, min(k, n) − 1) float64, radians.

    Raises UsageError for shapes that do not fit, or k < 1.
    """
    require_map(x, codes, heights, k)
    directions = normals(codes)
    return blockwise(lambda of: (cosines(picked(directions, of).double())[:, 0, 1:].acos(),), TopCells(codes, heights, k)(x))[0]


def require_map(x: Codes, codes: Codes, heights: Tensor, k: int) -> None:
    """Raise UsageError for samples (B, d), codes (n, d) and heights (n,) that do not fit, or k < 1."""
    n, d = codes.shape
    if x.ndim != 2 or x.shape[1] != d or heights.shape != (n,):
        raise UsageError(f"transport map: samples {tuple(x.shape)} and heights {tuple(heights.shape)} do not fit codes of {(n, d)}")
    if k < 1:
        raise UsageError(f"transport map: k = {k} is no number of cells; it is at least 1")


def auto_theta(angles: Tensor) -> float:
    """A θ that lies between modes, from `neighbour_angles` (B, k − 1): the lowest clear gap of all angles, else their median.

    Let a be all angles in ascending order and m a thousandth of them, which may lie in the gap. a_p is its lower edge when a_p is
    large enough that 90 % of the x have a neighbour within it, and p at most the 99 % quantile; it is clear when a_{p+m} / a_p ≥ 1.15,
    and then θ = √(a_p a_{p+m}). One mode in 2 to 64 dimensions reaches 1.03, well separated modes 1.3 to 6. Modes that touch have no
    gap; within the median lie pairs of one mode for the most part, and nearly every x has a partner. 0 where there is one cell only.
    """
    if not angles.numel():
        return 0.0
    a = angles.flatten().sort().values
    m, last = max(1, len(a) // 1000), int(0.99 * (len(a) - 1))
    partnered = angles.min(1).values.sort().values[int(0.9 * (len(angles) - 1))]
    lower, upper = a[:-m][: last + 1], a[m:][: last + 1]
    gaps = torch.where(lower >= partnered, upper / lower.clamp_min(torch.finfo(a.dtype).tiny), 1)
    clear = gaps >= _CLEAR_GAP
    if not clear.any():
        return a[len(a) // 2].item()
    first = int(clear.int().argmax())
    p = first + int(gaps[first : first + m].argmax())  # the windows that begin in the next m angles see the same gap, one of them all of it
    return (lower[p] * upper[p]).sqrt().item()
