"""Dihedral angles between the cells around a sample, and the threshold θ of cells that are joined (An et al. 2020, section 3.2).

θ_ij = ∠(n_i, n_j),   n_i ∝ (y_i, −1): the angle between two facets of the graph of u. It is large where T jumps between modes.
The paper bounds the length of edges (`ot/edges.py`); the angle is that of the published code (k2cu8/pyOMT).
"""

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.blocks import blockwise, picked
from genrev_cli.ot.top_cells import TopCells
from genrev_cli.shapes import Codes

_CLEAR_GAP = 1.15


def normals(codes: Codes) -> Tensor:
    """Return n_i = (y_i, −1) / |(y_i, −1)| of centred codes with total variance Σ_dims var = 1: (n, d) → (n, d + 1), float32 or float64.

    So angles depend neither on a shift nor on a scale of the codes. The published code neither centres nor scales them: if their mean is
    far from 0, all normals are nearly parallel, and any threshold joins all modes.
    """
    y = codes if codes.dtype == torch.float64 else codes.float()
    y = y - y.mean(0)
    y = y / y.square().sum(1).mean().sqrt().clamp_min(torch.finfo(y.dtype).tiny)
    return torch.nn.functional.normalize(torch.cat([y, y.new_full((len(y), 1), -1)], dim=1), dim=1)


def cosines(n: Tensor) -> Tensor:
    """Return cos ∠(n_i, n_j) in [−1, 1] of vectors of any length: (B, k, d) → (B, k, k)."""
    gram = n @ n.mT
    length = gram.diagonal(dim1=1, dim2=2).sqrt()
    return (gram / (length[:, :, None] * length[:, None])).clamp(-1, 1)


@torch.no_grad()
def neighbour_angles(x: Codes, codes: Codes, heights: Tensor, *, k: int = 20) -> Tensor:
    """Return θ between the cell of x and each other one of the k highest scores, in this order: → (B, min(k, n) − 1) float64, radians.

    Raises UsageError for shapes that do not fit, or k < 1.
    """
    require_map(x, codes, heights, k)
    directions = normals(codes)
    return blockwise(lambda cells: (cosines(picked(directions, cells).double())[:, 0, 1:].acos(),), TopCells(codes, heights, k)(x))[0]


def require_map(x: Codes, codes: Codes, heights: Tensor, k: int) -> None:
    """Raise UsageError for samples (B, d), codes (n, d) and heights (n,) that do not fit, or k < 1."""
    n, d = codes.shape
    if x.ndim != 2 or x.shape[1] != d or heights.shape != (n,):
        raise UsageError(f"transport map: samples {tuple(x.shape)} and heights {tuple(heights.shape)} do not fit codes of {(n, d)}")
    if k < 1:
        raise UsageError(f"transport map: k = {k} must be at least 1")


def auto_theta(angles: Tensor) -> float:
    """Return a θ between modes, from `neighbour_angles` (B, k − 1): in the lowest clear gap of all angles, else their median.

    Let a be all angles in ascending order, and m a thousandth of their number: so many may lie in the gap. a_p can be the lower edge of a
    gap if 90 % of the x have a neighbour within a_p, and p is at most the 99 % quantile. The gap is clear if a_{p+m} / a_p ≥ 1.15; then
    θ = √(a_p a_{p+m}). The ratio reaches 1.03 for one mode in 2 to 64 dimensions, and 1.3 to 6 for well separated modes. Modes that touch
    have no gap; then most pairs within the median are of one mode, and nearly every x has a partner. 0 if there is only one cell.
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
    p = first + int(gaps[first : first + m].argmax())  # the next m windows contain the same gap; the best one contains all of it
    return (lower[p] * upper[p]).sqrt().item()
