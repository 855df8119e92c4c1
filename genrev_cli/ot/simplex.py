"""Barycentric coordinates among the mass centres of cells: the nearest point of a convex hull, by principal pivoting.

Every sample has its own tableau. All pivots are one operator (`genrev::pivoted`): a loop over all samples on the CPU, one kernel on CUDA
(ot/simplex_kernel.py), so that the host does not wait for the device.
"""

import functools
import math
import warnings

import torch
from torch import Tensor

from genrev_cli.ot.pivots import LEAST_PIVOT, LEAST_REDUCED_COST, PIVOTS_PER_CELL
from genrev_cli.shapes import Codes

LOCALITY = 1e-6
"""ρ of `barycentric_weights`. It moves Σ λ_j c_j by less than a millionth of the distance between centres; rounding is far smaller."""


_WIDTHS = (2, 4, 8, 12, 16)  # tableaus of one width are solved together


def barycentric_weights(x: Codes, centres: Tensor, joined: Tensor) -> Tensor:
    """Return λ = argmin_{λ ≥ 0, Σλ = 1} |x − Σ λ_j c_j|² + ρ Σ λ_j |x − c_j|²: x (B, d), centres (B, k, d), J (B, k) → (B, k).

    ρ = LOCALITY. As ρ → 0, Σ λ_j c_j is the point of conv{c_j : j ∈ J} nearest to x. Of all λ that give this point, it is
    that of the Delaunay simplex of the c_j around it (Mueller, Murphy & Tasissa 2024): at most d + 1 are not 0, and λ is unique also if
    |J| > d + 1.

    Principal pivoting (Cottle, Pang & Stone 1992, ch. 4) starts from the nearest c_s alone. It increases the λ_j of least reduced cost
    w_j < 0, and adapts the others, until w_j = 0 or another λ reaches 0 and leaves the basis. No row depends on the other rows.
    In 10⁶ random problems at most 2.4 k pivots made it exact up to rounding, so 3 k are made. A row that needs more gets weights ≥ 0 with
    sum 1 that are not optimal. Everything is float64; every row of J must have a member, and finite centres.
    """
    weights = pivoted(*_first_tableau(x, centres, joined), joined).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def _first_tableau(x: Codes, centres: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
    """Return [A | q] (B, k, k + 1) for the basis {s}, c_s nearest to x, and the mask of the basis; scaled by the largest |c_j − c_s|².

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
    values = torch.where(joined & ~basic, cost / scale, 1)  # cells outside J cost 1, and never enter
    return torch.cat([gram / scale[:, :, None] + coupling, values[:, :, None]], dim=2), basic


def pivoted(tableau: Tensor, basic: Tensor, joined: Tensor) -> Tensor:
    """Return λ after the pivots, 0 outside the basis: tableau (B, k, k + 1) float64, basis and J (B, k) → (B, k), by one operator."""
    return torch.ops.genrev.pivoted(tableau, basic, joined)


def _solved_by_width(tableau: Tensor, basic: Tensor, joined: Tensor) -> Tensor:
    """Compute `pivoted` by torch. Rows with about equally many members of J are solved together, without columns outside J."""
    found = torch.zeros_like(tableau[:, :, -1])
    k, sizes, least = joined.shape[1], joined.sum(1), 0
    for width in (*(width for width in _WIDTHS if width < k), k):
        rows = ((sizes > least) & (sizes <= width)).nonzero().squeeze(1)
        least = width
        if not len(rows):
            continue
        members = (~joined[rows]).to(torch.uint8).argsort(dim=1, stable=True)[:, :width]  # J first; other cells never move
        columns = torch.cat([members, torch.full_like(members[:, :1], k)], dim=1)
        part = tableau[rows[:, None, None], members[:, :, None], columns[:, None]]
        found[rows[:, None], members] = _solved(part, basic[rows[:, None], members])
    return found


def _solved(tableau: Tensor, basic: Tensor) -> Tensor:
    """Return λ of tableaus (B, w, w + 1), which are overwritten. Finished rows are removed when they are many."""
    k, found, rows = basic.shape[1], torch.zeros_like(tableau[:, :, -1]), torch.arange(len(basic), device=basic.device)
    cells = torch.arange(k, device=basic.device)
    entering, driving = cells.new_zeros(len(basic), 1), torch.zeros_like(basic[:, :1])
    for _ in range(PIVOTS_PER_CELL * k):
        values = tableau[:, :, k]  # λ_j in the basis, else w_j
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
    """Make the principal pivot (p, p) of active rows, in place: A ← A − (A_·p + e_p)(A_p· − e_p) / A_pp."""
    k = tableau.shape[1]
    row = tableau.gather(1, p[:, :, None].expand(-1, 1, k + 1))[:, 0]
    column = tableau.gather(2, p[:, None].expand(-1, k, 1))[:, :, 0]
    inverse = torch.where(active, row.gather(1, p).reciprocal(), 0)
    one = torch.ones_like(inverse)
    column.scatter_add_(1, p, one)
    row.scatter_add_(1, p, -one)
    tableau -= (column * inverse)[:, :, None] * row[:, None]


def _solved_on_cuda(tableau: Tensor, basic: Tensor, joined: Tensor) -> Tensor:
    """Compute `pivoted` by Triton, or by torch if Triton does not work."""
    if not _triton_works(tableau.device):
        return _solved_by_width(tableau, basic, joined)
    from genrev_cli.ot.simplex_kernel import launch  # nothing else needs Triton

    return launch(tableau, basic)


@functools.cache
def _triton_works(device: torch.device) -> bool:
    """Return True if Triton can build and start the kernel; else warn. Triton must be installed, and needs a C compiler."""
    try:
        from genrev_cli.ot.simplex_kernel import launch

        launch(torch.ones(1, 1, 2, dtype=torch.float64, device=device), torch.ones(1, 1, dtype=torch.bool, device=device))
    except Exception as error:  # raised by Triton, by the compiler or by the system
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
