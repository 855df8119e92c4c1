"""The semi-discrete optimal transport map, extended linearly between codes that belong together (An et al. 2020; D4).

x uniform on [−½, ½]^d;   u(x) = max_i ⟨x, y_i⟩ + h_i, whose cell W_i is where i wins;   c_i the mass centre of W_i
T(x) = ∇u(x) = y_i has n values only. Its extension joins the cells around x whose facets of the graph of u meet at small angles:

    i_1, …, i_k                                  the cells of the k highest scores of x, i_1 its own
    θ_ij = ∠(n_i, n_j),   n_i ∝ (y_i, −1)        the dihedral angle between two facets, large where T jumps from mode to mode
    J = {j : θ_ij ≤ θ}, pairwise                 a simplex of the complex whose edges are the small angles
    λ = argmin_{λ ≥ 0, Σλ = 1} |x − Σ_J λ_j c_j|²    barycentric coordinates of x, or of the point of conv{c_j} nearest to it
    T̃(x) = Σ_J λ_j y_j

Where J = {i_1}, x is at a singularity of T, and T̃(x) = y_{i_1}: no code is ever made between modes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.scores import build_scores, centred
from genrev_cli.shapes import Codes

RULES = ("barycentric", "inverse-distance", "two-cell", "nearest")

LOCALITY = 1e-6
"""ρ of `barycentric_weights`: as a bias of Σ λ_j c_j below a millionth of the distance between centres, far above rounding."""

_CLEAR_GAP = 1.15
_LEAST_DISTANCE = 1e-150  # its reciprocal, and a sum of them, are finite
_ROWS = 512  # samples at a time: a block of tableaus fits the cache
_PIVOTS_PER_CELL = 3
_LEAST_REDUCED_COST, _LEAST_PIVOT = 1e-11, 1e-12  # of tableaus whose entries are about 1


@dataclass(frozen=True)
class Extended:
    """codes (B, d) = Σ_j weights_j y_{indices_j}, in the type of the codes.

    indices: (B, k) int64, cells in descending order of score, x's own first. joined: (B, k) bool, which of them make J.
    weights: (B, k), λ ≥ 0 with sum 1, 0 outside J. kept: (B,) bool, False where the rule rejects x; its code is then y_{i_1}.
    """

    codes: Codes
    indices: Tensor
    joined: Tensor
    weights: Tensor
    kept: Tensor


def normals(codes: Codes) -> Tensor:
    """n_i = (y_i, −1) / |(y_i, −1)| of centred codes with total variance Σ_dims var = 1: (n, d) → (n, d + 1), float32 or float64.

    Neither a shift nor a scale of the codes moves the angles. In the codes' own frame, which the published code takes, both do: off
    centre all normals are nearly parallel, and one threshold joins every mode.
    """
    y = codes if codes.dtype == torch.float64 else codes.float()
    y = y - y.mean(0)
    y = y / y.square().sum(1).mean().sqrt().clamp_min(torch.finfo(y.dtype).tiny)
    return torch.nn.functional.normalize(torch.cat([y, y.new_full((len(y), 1), -1)], dim=1), dim=1)


@torch.no_grad()
def extend(
    x: Codes,
    codes: Codes,
    heights: Tensor,
    centres: Codes,
    normals: Tensor,
    *,
    theta: float,
    k: int = 20,
    rule: str = "barycentric",
    pairwise: bool = True,
    drop: bool = False,
) -> Extended:
    """T̃(x) for every sample: x (B, d); codes, centres (n, d), heights (n,), normals (n, d + 1) → codes (B, d) and what they are made of.

    theta: θ in radians; 0 joins nothing. k: how many cells are looked at, or all n. pairwise: every two members of J within θ, taken
    greedily in the order of scores; else each of them within θ of x's own cell only, and J may lead from mode to mode in two steps.
    drop: reject x at a singularity, |J| = 1, instead of giving y_{i_1}. A centre that is NaN, of a cell that no sample hit, joins nothing.

    rule: "barycentric", λ above (`barycentric_weights`);   "inverse-distance", λ_j ∝ 1/|x − c_j| over J;   "nearest", T(x) = y_{i_1};
    "two-cell", the published generator's: i_1 with the highest-scored other cell within θ, ¼ of the lower and ¾ of the higher index
    wherever x is, x without any rejected. (It takes all such pairs, once per lower index and batch; here one x makes one code.)

    The code of an x depends on that x alone, on the CPU to the bit. Cells are found in float32, all else is float64.
    Raises UsageError for shapes that do not belong together, another rule, k < 1, θ < 0, or dropping all that "nearest" gives.
    """
    _require(x, codes, heights, centres, normals, theta, k, rule, drop)
    indices = _top_cells(x, codes, heights, k)
    joined, weights = [], []
    for of, at in zip(_padded(indices), _padded(x.double()), strict=True):
        members = _joined(_cosines(normals[of].double()), theta, rule, pairwise)
        members, weight = _weights(at, centres[of].double(), of, members, rule)
        joined.append(members)
        weights.append(weight)
    joined, weights = torch.cat(joined)[: len(x)], torch.cat(weights)[: len(x)]
    made = torch.zeros(len(x), codes.shape[1], dtype=torch.float64, device=codes.device)
    for weight, cell in zip(weights.T, indices.T, strict=True):  # one term of the sum at a time: no (B, k, d)
        made += weight[:, None] * codes[cell]
    kept = joined[:, 1:].any(1) if drop or rule == "two-cell" else torch.ones_like(joined[:, 0])
    return Extended(made.to(codes.dtype), indices, joined, weights.to(codes.dtype), kept)


@torch.no_grad()
def neighbour_angles(x: Codes, codes: Codes, heights: Tensor, normals: Tensor, *, k: int = 20) -> Tensor:
    """θ between x's own cell and each other one of the k highest scores, in that order: → (B, min(k, n) − 1) float64, radians.

    Raises UsageError for shapes that do not belong together or k < 1.
    """
    _require(x, codes, heights, codes, normals, 0.0, k, "barycentric", False)
    indices = _top_cells(x, codes, heights, k)
    angles = [_cosines(normals[of].double())[:, 0, 1:].acos() for of in _padded(indices)]
    return torch.cat(angles)[: len(x)]


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


def statistics(extended: Extended, angles: Tensor) -> dict[str, float]:
    """What the extension does to a sample of x, given its `neighbour_angles`.

    interpolated: share of x whose code mixes two or more (λ > 0). joined: mean |J|. mixed: mean number of λ > 0. kept: share of x not
    rejected. angle_1, angle_50, angle_99: per cent quantiles of the angles, 0 where there is one cell only.
    """
    a = angles.flatten().sort().values if angles.numel() else angles.new_zeros(1)
    mixed = (extended.weights > 0).sum(1)
    return {
        "interpolated": (mixed > 1).double().mean().item(),
        "joined": extended.joined.sum(1).double().mean().item(),
        "mixed": mixed.double().mean().item(),
        "kept": extended.kept.double().mean().item(),
    } | {f"angle_{percent}": a[int(percent / 100 * (len(a) - 1))].item() for percent in (1, 50, 99)}


def _require(x: Codes, codes: Codes, heights: Tensor, centres: Codes, normals: Tensor, theta: float, k: int, rule: str, drop: bool) -> None:
    n, d = codes.shape
    if x.ndim != 2 or x.shape[1] != d or heights.shape != (n,) or centres.shape != (n, d) or normals.shape != (n, d + 1):
        shapes = ", ".join(str(tuple(t.shape)) for t in (x, heights, centres, normals))
        raise UsageError(f"extended map: samples, heights, centres and normals of {shapes} do not fit codes of {(n, d)}")
    if rule not in RULES:
        raise UsageError(f"extended map: rule = {rule!r} is unknown; there is {', '.join(RULES)}")
    if k < 1 or not theta >= 0:
        raise UsageError(f"extended map: k = {k} cells within θ = {theta} are none; k is at least 1, θ at least 0")
    if drop and rule == "nearest":
        raise UsageError("extended map: rule 'nearest' joins no cells, so that drop would reject every sample; choose another rule")


def _top_cells(x: Codes, codes: Codes, heights: Tensor, k: int) -> Tensor:
    """The cells of the min(k, n) highest scores, in descending order: (B, d) → (B, k)."""
    scores = build_scores(centred(codes)).lift(heights - heights.mean())  # a constant would cost digits
    # Products of another number of rows are rounded otherwise: blocks are always full, so that an x gives the same in any batch.
    full = torch.cat([x.float(), x.new_zeros(-len(x) % scores.rows, x.shape[1], dtype=torch.float32)])
    return scores.top(full, k)[1][: len(x)]


def _padded(rows: Tensor) -> tuple[Tensor, ...]:
    """(B, …) in blocks of _ROWS, the last one filled up with zeros."""
    return torch.cat([rows, rows.new_zeros(-len(rows) % _ROWS, rows.shape[1])]).split(_ROWS)


def _cosines(n: Tensor) -> Tensor:
    """cos ∠(n_i, n_j) in [−1, 1], whatever the lengths: (B, k, d) → (B, k, k)."""
    gram = n @ n.mT
    length = gram.diagonal(dim1=1, dim2=2).sqrt()
    return (gram / (length[:, :, None] * length[:, None])).clamp(-1, 1)


def _joined(cosines: Tensor, theta: float, rule: str, pairwise: bool) -> Tensor:
    """J as a mask (B, k), of cells in the order of their scores; the first is always in it."""
    close = cosines >= math.cos(min(theta, math.pi))
    joined = torch.zeros_like(close[:, 0])
    joined[:, 0] = True
    if rule == "nearest" or theta == 0:  # equal up to rounding is not within 0
        return joined
    if rule == "two-cell":
        partner = close[:, 0].clone()
        partner[:, 0] = False
        return joined | (partner & (partner.cumsum(1) == 1))
    for m in range(1, joined.shape[1]):
        others = joined[:, :m] if pairwise else joined[:, :1]
        joined[:, m] = (close[:, m, : others.shape[1]] | ~others).all(1)
    return joined


def _weights(x: Tensor, centres: Tensor, indices: Tensor, joined: Tensor, rule: str) -> tuple[Tensor, Tensor]:
    """J without cells that have no centre, and λ: x (B, d), centres (B, k, d), indices and J (B, k) → (B, k), (B, k) float64."""
    if rule == "nearest":
        return joined, joined.double()
    if rule == "two-cell":
        lower = indices == indices.masked_fill(~joined, torch.iinfo(indices.dtype).max).amin(1, keepdim=True)
        pair = torch.where(lower, 0.25, 0.75).to(x) * joined
        return joined, pair / pair.sum(1, keepdim=True)
    known = centres.isfinite().all(2)
    alone = torch.zeros_like(joined)
    alone[:, 0] = True
    joined = alone | (joined & known & known[:, :1])
    centres = torch.where(known[:, :, None], centres, x[:, None])  # of no consequence: an unknown one is alone, or not in J
    if rule == "barycentric":
        return joined, barycentric_weights(x, centres, joined)
    near = (centres - x[:, None]).square().sum(2).sqrt().clamp_min(_LEAST_DISTANCE).reciprocal() * joined
    return joined, near / near.sum(1, keepdim=True)


def barycentric_weights(x: Tensor, centres: Tensor, joined: Tensor) -> Tensor:
    """λ = argmin_{λ ≥ 0, Σλ = 1} |x − Σ λ_j c_j|² + ρ Σ λ_j |x − c_j|²,  ρ = LOCALITY: x (B, d), centres (B, k, d), J (B, k) → (B, k).

    As ρ → 0, Σ λ_j c_j is the point of conv{c_j : j ∈ J} nearest to x, and of all λ that give it, this one is that of the Delaunay
    simplex of the c_j around it (Mueller, Murphy & Tasissa 2024): at most d + 1 of them, and a unique λ also where |J| > d + 1.

    By principal pivoting (Cottle, Pang & Stone 1992, ch. 4): from the nearest c_s alone, increase the λ_j of least reduced cost w_j < 0
    with the others following, until w_j = 0 or another λ reaches 0 and leaves; every row by its own arithmetic, all rows at once.
    Exact up to rounding after 2.4 k pivots at most in 10⁶ random problems, so 3 k are made; a row that needed more would have weights
    ≥ 0 with sum 1 that are not optimal. float64; every row of J must have a member, and its centres be finite.
    """
    tableau, basic = _first_tableau(x, centres, joined)
    cells, k = torch.arange(joined.shape[1], device=x.device), joined.shape[1]
    entering, driving = cells.new_zeros(len(x), 1), torch.zeros(len(x), 1, dtype=torch.bool, device=x.device)
    for _ in range(_PIVOTS_PER_CELL * k):
        values = tableau[:, :, k]  # λ_j where basic, else w_j
        cost, cheapest = values.masked_fill(basic, math.inf).min(1, keepdim=True)
        entering = torch.where(driving, entering, cheapest)
        slope = tableau.gather(2, entering[:, None].expand(-1, k, 1))[:, :, 0]
        stops = torch.where(cells == entering, slope > _LEAST_PIVOT, basic & (slope < -_LEAST_PIVOT))
        step, p = torch.where(stops, -values / torch.where(stops, slope, 1), math.inf).min(1, keepdim=True)
        active = (driving | (cost < -_LEAST_REDUCED_COST)) & step.isfinite()
        _exchange(tableau, p, active)
        basic = basic ^ ((cells == p) & active)
        driving = active & (p != entering)
    weights = torch.where(basic, tableau[:, :, k], 0).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def _first_tableau(x: Tensor, centres: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
    """[A | q] (B, k, k + 1) of the basis {s}, c_s nearest to x, and the mask of the basis; scaled by the largest |c_j − c_s|².

    With e_j = c_j − c_s:   λ_s = 1 − Σ λ_j,   w_j = Σ_i ⟨e_j, e_i⟩ λ_i − (1 + ρ)⟨e_j, x − c_s⟩ + ρ/2 |e_j|² + w_s
    """
    distance = (centres - x[:, None]).square().sum(2).masked_fill(~joined, math.inf)
    s = distance.argmin(1, keepdim=True)
    basic = torch.zeros_like(joined).scatter_(1, s, True)
    c_s = centres.gather(1, s[:, :, None].expand(-1, 1, centres.shape[2]))
    e = torch.where(joined[:, :, None], centres - c_s, 0)
    gram = e @ e.mT
    square = gram.diagonal(dim1=1, dim2=2)
    cost = LOCALITY / 2 * square - (1 + LOCALITY) * (e @ (x[:, None] - c_s).mT)[:, :, 0]
    scale = square.amax(1, keepdim=True)
    scale = torch.where(scale > 0, scale, 1)
    other = (joined & ~basic).to(x)
    coupling = other[:, :, None] * basic.to(x)[:, None] - basic.to(x)[:, :, None] * other[:, None]
    values = torch.where(joined & ~basic, cost / scale, 1)  # what is not in J costs 1 and never enters
    return torch.cat([gram / scale[:, :, None] + coupling, values[:, :, None]], dim=2), basic


def _exchange(tableau: Tensor, p: Tensor, active: Tensor) -> None:
    """The principal pivot (p, p) of active rows, in place: A ← A − (A_·p + e_p)(A_p· − e_p) / A_pp."""
    k = tableau.shape[1]
    row = tableau.gather(1, p[:, :, None].expand(-1, 1, k + 1))[:, 0]
    column = tableau.gather(2, p[:, None].expand(-1, k, 1))[:, :, 0]
    inverse = torch.where(active, row.gather(1, p).reciprocal(), 0)
    one = torch.ones_like(inverse)
    column.scatter_add_(1, p, one)
    row.scatter_add_(1, p, -one)
    tableau -= (column * inverse)[:, :, None] * row[:, None]
