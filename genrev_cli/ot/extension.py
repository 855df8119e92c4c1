"""The semi-discrete optimal transport map, extended linearly between codes of the same mode (An et al. 2020, section 3.2).

x uniform on [−½, ½]^d;   u(x) = max_i ⟨x, y_i⟩ + h_i;   i is maximal on the cell W_i;   c_i the mass centre of W_i
T(x) = ∇u(x) = y_i has only n values. Its extension joins cells around x if their facets of the graph of u meet at small angles:

    i_1, …, i_k                                  the cells of the k highest scores of x; x lies in i_1
    θ_ij = ∠(n_i, n_j),   n_i ∝ (y_i, −1)        the dihedral angle between two facets; it is large where T jumps between modes
    J = {j : θ_ij ≤ θ}, pairwise                 a simplex of the complex with all edges of small angle
    λ = argmin_{λ ≥ 0, Σλ = 1} |x − Σ_J λ_j c_j|²    barycentric coordinates of x, or of the point of conv{c_j} nearest to it
    T̃(x) = Σ_J λ_j y_j

With a bound ε on the length of edges, as in the paper, J = {j : |y_i − y_j| < ε}, pairwise, takes the place of the angles.
If J = {i_1}, x is at a singularity of T, and T̃(x) = y_{i_1}. So no code lies between modes.
"""

import math
from dataclasses import KW_ONLY, dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.angles import cosines, normals
from genrev_cli.ot.blocks import blockwise, picked
from genrev_cli.ot.edges import distances
from genrev_cli.ot.simplex import barycentric_weights
from genrev_cli.ot.top_cells import TopCells
from genrev_cli.settings.transport_map import RULES
from genrev_cli.shapes import Codes

_LEAST_DISTANCE = 1e-150  # its reciprocal, and a sum of them, are finite


@dataclass(frozen=True)
class Extended:
    """codes (B, d) = Σ_j weights_j y_{indices_j}, in the type of the codes.

    indices: (B, k) int64, cells in descending order of score; x lies in the first. joined: (B, k) bool, True for cells in J.
    weights: (B, k), λ ≥ 0 with sum 1, 0 outside J. kept: (B,) bool, False if the rule rejects x; its code is then y_{i_1}.
    """

    codes: Codes
    indices: Tensor
    joined: Tensor
    weights: Tensor
    _: KW_ONLY
    kept: Tensor


@final
class Extension:
    """T̃ of one map, set up once for any number of samples. codes, centres (n, d) and heights (n,) must not change afterwards.

    theta: θ in radians; 0 joins nothing. epsilon: ε, instead of θ: codes are joined if they are nearer than ε. k: number of cells to
    search; at most n. pairwise: all pairs in J are within the bound, and members are chosen greedily by score; else each member is within
    it of i_1 only, so J may reach another mode in two steps. drop: reject x at a singularity, |J| = 1, instead of returning y_{i_1}.
    A cell that no sample hit has a NaN centre, and joins nothing.

    rule: "barycentric", λ above (`barycentric_weights`);   "inverse-distance", λ_j ∝ 1/|x − c_j| over J;   "nearest", T(x) = y_{i_1};
    "two-cell", that of the published code (k2cu8/pyOMT): i_1 and the other cell with the highest score within the bound, ¼ of the lower
    and ¾ of the higher index for all x; x without such a cell is rejected. (Unlike here, where one x gives one code, the published code
    takes all such pairs, once per lower index and batch.)

    Raises UsageError for shapes that do not fit, an unknown rule, k < 1, θ or ε < 0, not one of both, or drop with "nearest".
    """

    def __init__(
        self,
        codes: Codes,
        heights: Tensor,
        centres: Codes,
        *,
        theta: float | None = None,
        epsilon: float | None = None,
        k: int = 20,
        rule: str = "barycentric",
        pairwise: bool = True,
        drop: bool = False,
    ) -> None:
        if heights.shape != codes.shape[:1] or centres.shape != codes.shape:
            shapes = f"{tuple(heights.shape)} and {tuple(centres.shape)}"
            raise UsageError(f"extended map: heights and centres of {shapes} do not fit codes of {tuple(codes.shape)}")
        if rule not in RULES:
            raise UsageError(f"extended map: rule = {rule!r} is unknown; choose {', '.join(RULES)}")
        bounds = {name: bound for name, bound in (("θ", theta), ("ε", epsilon)) if bound is not None}
        if len(bounds) != 1:
            raise UsageError(f"extended map: θ = {theta} and ε = {epsilon}: give one of them")
        for name, bound in bounds.items():
            if k < 1 or not bound >= 0:
                raise UsageError(f"extended map: k = {k} and {name} = {bound}: k must be at least 1, and {name} at least 0")
        if drop and rule == "nearest":
            raise UsageError("extended map: rule 'nearest' joins no cells, so drop would reject every sample; choose another rule")
        self.theta, self.epsilon, self.rule, self.pairwise, self.drop = theta, epsilon, rule, pairwise, drop
        self._codes, self._normals = codes, normals(codes)
        self._known = centres.isfinite().all(1)
        self._centres = torch.where(self._known[:, None], centres, 0)  # any value will do: a cell without a centre joins nothing
        self._cells = TopCells(codes, heights, k)

    @torch.no_grad()
    def __call__(self, x: Codes) -> Extended:
        """Return T̃(x) of every sample: x (B, d) → codes (B, d), with their cells and weights.

        The code of an x does not depend on the rest of the batch, on the CPU to the bit. Cells and codes are computed in float64.
        Raises UsageError for samples of another dimension.
        """
        if x.ndim != 2 or x.shape[1] != self._codes.shape[1]:
            raise UsageError(f"extended map: samples of {tuple(x.shape)} do not fit codes of {tuple(self._codes.shape)}")
        return self.among(x, self._cells(x))

    @torch.no_grad()
    def among(self, x: Codes, indices: Tensor) -> Extended:
        """Return T̃(x) from the cells of the highest scores: x (B, d), indices (B, k) in descending order of score."""
        made, joined, weights = blockwise(self._made, x.double(), indices)
        kept = joined[:, 1:].any(1) if self.drop or self.rule == "two-cell" else torch.ones_like(joined[:, 0])
        return Extended(made, indices, joined, weights, kept=kept)

    def _made(self, x: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return codes, J and λ: x (B, d) float64, indices (B, k) → (B, d), (B, k), (B, k)."""
        joined = self._joined(self._apart(indices))
        joined, weights = self._weighted(x, indices, joined)
        made = (weights[:, None] @ picked(self._codes, indices).double()).squeeze(1)
        return made.to(self._codes.dtype), joined, weights.to(self._codes.dtype)

    def _apart(self, indices: Tensor) -> Tensor:
        """Return which pairs of cells are not within the bound: (B, k) → (B, k, k) bool."""
        if self.epsilon is not None:
            return ~(distances(picked(self._codes, indices).double()) < self.epsilon)
        assert self.theta is not None
        return ~(cosines(picked(self._normals, indices).double()) >= math.cos(min(self.theta, math.pi)))

    def _joined(self, apart: Tensor) -> Tensor:
        """Return J as a mask (B, k) of the cells, which are in the order of their scores; the first is always in J."""
        joined = torch.zeros_like(apart[:, 0])
        joined[:, 0] = True
        if self.rule == "nearest" or self.theta == 0:  # codes that are equal up to rounding are not joined
            return joined
        if self.rule == "two-cell":
            partner = ~apart[:, 0]
            partner[:, 0] = False
            return joined | (partner & (partner.cumsum(1) == 1))
        blocked = apart[:, :, 0]
        for m in range(1, apart.shape[1] if self.pairwise else 1):  # a member blocks later cells that are too far from it
            blocked[:, m + 1 :].logical_or_(apart[:, m + 1 :, m] > blocked[:, m : m + 1])
        return joined | ~blocked

    def _weighted(self, x: Tensor, indices: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Return J without cells that have no centre, and λ: x (B, d), indices and J (B, k) → (B, k), (B, k) float64."""
        if self.rule == "nearest":
            return joined, joined.double()
        if self.rule == "two-cell":
            lower = indices == indices.masked_fill(~joined, torch.iinfo(indices.dtype).max).amin(1, keepdim=True)
            pair = torch.where(lower, 0.25, 0.75).to(x.dtype) * joined
            return joined, pair / pair.sum(1, keepdim=True)
        known = self._known[indices]
        joined = joined & known & known[:, :1]
        joined[:, 0] = True
        centres = picked(self._centres, indices).double()
        if self.rule == "barycentric":
            return joined, barycentric_weights(x, centres, joined)
        near = (centres - x[:, None]).square().sum(2).sqrt().clamp_min(_LEAST_DISTANCE).reciprocal() * joined
        return joined, near / near.sum(1, keepdim=True)


def statistics(extended: Extended, angles: Tensor, name: str = "angle") -> dict[str, float]:
    """Return statistics of the extension on some x. angles: their `neighbour_angles`, or their `neighbour_edges` with the name 'edge'.

    interpolated: share of x whose code mixes two or more codes (λ > 0). joined: mean |J|. mixed: mean number of λ > 0. kept: share of x
    that are not rejected. angle_1, angle_50, angle_99 (or edge_1, …): percentiles of the angles, 0 if there is only one cell.
    """
    a = angles.flatten().sort().values if angles.numel() else angles.new_zeros(1)
    mixed = (extended.weights > 0).sum(1)
    return {
        "interpolated": (mixed > 1).double().mean().item(),
        "joined": extended.joined.sum(1).double().mean().item(),
        "mixed": mixed.double().mean().item(),
        "kept": extended.kept.double().mean().item(),
    } | {f"{name}_{percent}": a[int(percent / 100 * (len(a) - 1))].item() for percent in (1, 50, 99)}
