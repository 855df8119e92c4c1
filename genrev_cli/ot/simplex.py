"""Barycentric coordinates among the mass centres of cells: the nearest point of a convex hull, by principal pivoting.

Every sample has a tableau of its own, so that the pivots are one operator (`genrev::pivoted`): a loop over all samples on the CPU, and one
kernel on CUDA (ot/simplex_kernel.py), where nothing waits for the device.
"""

import functools
import math
import warnings

import torch
from torch import Tensor

from genrev_cli.ot.pivots import LEAST_PIVOT, LEAST_REDUCED_COST, PIVOTS_PER_CELL
from genrev_cli.shapes import Codes

LOCALITY = 1e-6
"""ρ of `barycentric_weights`: as a bias of Σ λ_j c_j below a millionth of the distance between centres, far above rounding."""


_WIDTHS = (2, 4, 8, 12, 16)  # of the tableaus that are solved together


def barycentric_weights(x: Codes, centres: Tensor, joined: Tensor) -> Tensor:
    """λ = argmin_{λ ≥ 0, Σλ = 1} |x − Σ λ_j c_j|² + ρ Σ λ_j |x − c_j|²,  ρ = LOCALITY: x (B, d), centres (B, k, d), J (B, k) → (B, k).

    As ρ → 0, Σ λ_j c_j is the point of conv{c_j : j ∈ J} nearest to x, and of all λ that give it, this one is that of the Delaunay
    simplex of the c_j around it (Mueller, Murphy & Tasissa 2024): at most d + 1 of them, and a unique λ also where |J| > d + 1.

    By principal pivoting (Cottle, Pang & Stone 1992, ch. 4): from the nearest c_s alone, increase the λ_j of least reduced cost w_j < 0
    with the others following, until w_j = 0 or another λ reaches 0 and leaves; every row by its own arithmetic, all rows at once.
    Exact up to rounding after 2.4 k pivots at most in 10⁶ random problems, so 3 k are made; a row that needed more would have weights
    ≥ 0 with sum 1 that are not optimal. float64; every row of J must have a member, and its centres be finite.
    """
    weights = pivoted(*_first_tableau(x, centres, joined), joined).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def _first_tableau(x: Codes, centres: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
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
    other, base = (joined & ~basic).to(x.dtype), basic.to(x.dtype)
    coupling = other[:, :, None] * base[:, None] - base[:, :, None] * other[:, None]
    values = torch.where(joined & ~basic, cost / scale, 1)  # what is not in J costs 1 and never enters
    return torch.cat([gram / scale[:, :, None] + coupling, values[:, :, None]], dim=2), basic


def pivoted(tableau: Tensor, basic: Tensor, joined: Tensor) -> Tensor:
    """Return λ after the pivots, 0 where not basic: tableau (B, k, k + 1) float64, basis and J (B, k) → (B, k), by one operator."""
    return torch.ops.genrev.pivoted(tableau, basic, joined)


def _solved_by_width(tableau: Tensor, basic: Tensor, joined: Tensor) -> Tensor:
    """`pivoted` by torch: rows with about as many members of J together, the columns of the others left out."""
    found = torch.zeros_like(tableau[:, :, -1])
    k, sizes, least = joined.shape[1], joined.sum(1), 0
    for width in (*(width for width in _WIDTHS if width < k), k):
        rows = ((sizes > least) & (sizes <= width)).nonzero().squeeze(1)
        least = width
        if not len(rows):
            continue
        members = (~joined[rows]).to(torch.uint8).argsort(dim=1, stable=True)[:, :width]  # J first; what is not in it never moves
        columns = torch.cat([members, torch.full_like(members[:, :1], k)], dim=1)
        part = tableau[rows[:, None, None], members[:, :, None], columns[:, None]]
        found[rows[:, None], members] = _solved(part, basic[rows[:, None], members])
    return found


def _solved(tableau: Tensor, basic: Tensor) -> Tensor:
    """λ of tableaus (B, w, w + 1), which are overwritten. Rows that are done are set aside when there are many."""
    k, found, rows = basic.shape[1], torch.zeros_like(tableau[:, :, -1]), torch.arange(len(basic), device=basic.device)
    cells = torch.arange(k, device=basic.device)
    entering, driving = cells.new_zeros(len(basic), 1), torch.zeros_like(basic[:, :1])
    for _ in range(PIVOTS_PER_CELL * k):
        values = tableau[:, :, k]  # λ_j where basic, else w_j
        cost, cheapest = values.masked_fill(basic, math.inf).min(1, keepdim=True)
        entering = torch.where(driving, entering, cheapest)
        slope = tableau.gather(2, entering[:, None].expand(-1, k, 1))[:, :, 0]
        stops = torch.where(cells == entering, slope > LEAST_PIVOT, basic & (slope < -LEAST_PIVOT))
        step, p = torch.where(stops, -values / torch.where(stops, slope, 1), math.inf).min(1, keepdim=True)
        active = (driving | (cost < -LEAST_REDUCED_COST)) & step.isfinite()
        remaining = active.squeeze(1).nonzero().squeeze(1)
        if len(remaining) <= 0.75 * len(rows):
            found[rows] = torch.where(basic, values, 0)
            rows, tableau, basic, entering, p, active = (t[remaining] for t in (rows, tableau, basic, entering, p, active))
            if not len(rows):
                return found
        _exchange(tableau, p, active)
        basic = basic ^ ((cells == p) & active)
        driving = active & (p != entering)
    found[rows] = torch.where(basic, tableau[:, :, k], 0)
    return found


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


def _solved_on_cuda(tableau: Tensor, basic: Tensor, joined: Tensor) -> Tensor:
    """The same by Triton, or by torch where Triton does not work."""
    if not _triton_works(tableau.device):
        return _solved_by_width(tableau, basic, joined)
    from genrev_cli.ot.simplex_kernel import launch  # nothing else needs Triton

    return launch(tableau, basic)


@functools.cache
def _triton_works(device: torch.device) -> bool:
    """Return True if Triton can build and start the kernel: it has to be installed, and needs a C compiler. Warns where it cannot."""
    try:
        from genrev_cli.ot.simplex_kernel import launch

        launch(torch.ones(1, 1, 2, dtype=torch.float64, device=device), torch.ones(1, 1, dtype=torch.bool, device=device))
    except Exception as error:  # of Triton's making, of the compiler's or of the system's
        reason = str(error).partition("\n")[0] or type(error).__name__
        warnings.warn(
            f"Triton does not work here ({reason}), so the host waits for every pivot of a transport map; "
            "install triton and a C compiler with Python's headers",
            stacklevel=2,
        )
        return False
    return True


# Not `torch.library.custom_op`, whose first call imports the compiler and takes seconds.
_LIBRARY = torch.library.Library("genrev", "DEF")
_LIBRARY.define("pivoted(Tensor tableau, Tensor basic, Tensor joined) -> Tensor")
_LIBRARY.impl("pivoted", _solved_by_width, "CPU")
_LIBRARY.impl("pivoted", _solved_on_cuda, "CUDA")
_LIBRARY.impl("pivoted", lambda tableau, basic, joined: torch.empty_like(tableau[:, :, -1]), "Meta")
