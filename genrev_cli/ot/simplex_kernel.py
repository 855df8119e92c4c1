"""The pivots of `genrev_cli.ot.simplex` as one Triton kernel: one program per sample, with its tableau in registers."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from genrev_cli.ot.pivots import LEAST_PIVOT, LEAST_REDUCED_COST, PIVOTS_PER_CELL

OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}
"""Options of the compilation. Products and sums are not fused, so that they are rounded as on the CPU."""


def launch(tableau: Tensor, basic: Tensor) -> Tensor:
    """Return λ: tableau (B, k, k + 1) float64, basis (B, k) → (B, k)."""
    tableau, basic = tableau.contiguous(), basic.contiguous()
    found = torch.empty_like(tableau[:, :, -1], memory_format=torch.contiguous_format)
    if len(tableau):
        k = basic.shape[1]
        limits = {"PIVOTS": PIVOTS_PER_CELL * k, "LEAST_COST": LEAST_REDUCED_COST, "LEAST_PIVOT": LEAST_PIVOT}
        with torch.cuda.device_of(tableau):
            pivot_kernel[(len(tableau),)](tableau, basic, found, K=k, SIZE=triton.next_power_of_2(k), **limits, **OPTIONS)
    return found


@triton.jit
def pivot_kernel(
    tableaus, bases, found, K: tl.constexpr, SIZE: tl.constexpr, PIVOTS: tl.constexpr, LEAST_COST: tl.constexpr, LEAST_PIVOT: tl.constexpr
):
    """Do the work of `simplex._solved` for the sample `program_id(0)`. Cells beyond K never move."""
    sample = tl.program_id(0).to(tl.int64)
    i, j = tl.arange(0, SIZE)[:, None], tl.arange(0, SIZE)[None, :]
    cells = tl.arange(0, SIZE)
    start = tableaus + sample * K * (K + 1)
    A = tl.load(start + i * (K + 1) + j, mask=(i < K) & (j < K), other=0.0)
    q = tl.load(start + cells * (K + 1) + K, mask=cells < K, other=1.0)
    basic = tl.load(bases + sample * K + cells, mask=cells < K, other=0) != 0
    infinity = float("inf")
    entering, driving, pivots = 0, False, 0
    while pivots < PIVOTS:
        costs = tl.where(basic, infinity, q)
        cost = tl.min(costs, 0)
        entering = tl.where(driving, entering, tl.argmin(costs, 0))
        slope = tl.sum(tl.where(j == entering, A, 0.0), 1)
        stops = tl.where(cells == entering, slope > LEAST_PIVOT, basic & (slope < -LEAST_PIVOT))
        steps = tl.where(stops, -q / tl.where(stops, slope, 1.0), infinity)
        step, p = tl.min(steps, 0), tl.argmin(steps, 0)
        if (driving | (cost < -LEAST_COST)) & (step < infinity):
            row = tl.sum(tl.where(i == p, A, 0.0), 0)
            value = tl.sum(tl.where(cells == p, q, 0.0), 0)
            column = tl.sum(tl.where(j == p, A, 0.0), 1)
            inverse = 1.0 / tl.sum(tl.where(cells == p, column, 0.0), 0)
            column = tl.where(cells == p, column + 1.0, column) * inverse
            row = tl.where(cells == p, row - 1.0, row)
            A -= column[:, None] * row[None, :]
            q -= column * value
            basic = basic != (cells == p)
            driving = p != entering
            pivots += 1
        else:
            pivots = PIVOTS
    tl.store(found + sample * K + cells, tl.where(basic, q, 0.0), mask=cells < K)
