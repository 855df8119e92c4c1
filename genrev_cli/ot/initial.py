"""Before the descent: codes without duplicates, heights to start from, and the scale that all steps are measured in."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.ot.scores import Scores
from genrev_cli.shapes import Codes, Scalar

ALPHAS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Target:
    """The target Σ b_i δ(y_i) with every code once. codes: (n, d) float32, as given. weights: b (n,) float64, sum 1.

    index: (N,) int64, where each of the N codes that were given is now.
    """

    codes: Codes
    weights: Tensor
    index: Tensor


def merge(codes: Codes, weights: Tensor | None = None) -> Target:
    """Equal codes (N, d) as one, their weights (N,) summed; without weights each code has 1/N. The order is that of first appearance.

    Of two equal codes the higher wins everywhere, so only their sum can be prescribed.
    Raises UsageError when codes are not (N, d) or a weight is not positive, DivergedError when a code is not finite.
    """
    if codes.ndim != 2 or not codes.numel():
        raise UsageError(f"semi-discrete transport: codes (n, d) are needed, not {tuple(codes.shape)}")
    if not codes.isfinite().all():
        raise DivergedError("semi-discrete transport: the codes have NaN or infinite values; mend what made them")
    n = len(codes)
    weights = codes.new_ones(n, dtype=torch.float64) if weights is None else weights.to(codes.device, torch.float64)
    if weights.shape != (n,) or not (weights.isfinite() & (weights > 0)).all():
        raise UsageError(f"semi-discrete transport: {n} positive weights are needed, one for each code")
    codes = codes.float()
    _, sorted_index = torch.unique(codes, dim=0, return_inverse=True)
    first = torch.full((n,), n, device=codes.device).scatter_reduce_(0, sorted_index, torch.arange(n, device=codes.device), "amin")
    kept, order = first[first < n].sort()
    index = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=codes.device))[sorted_index]
    summed = codes.new_zeros(len(kept), dtype=torch.float64).index_add_(0, index, weights)
    return Target(codes[kept], summed / summed.sum(), index)


def gaussian_heights(target: Target) -> Tensor:
    """h_i = −½ (y_i − m)ᵀ A⁻¹ (y_i − m),  A = √12 Cov^½:   −u*(y_i) of the optimal map between Gaussians (Bures; Gelbrich 1990)

    That is, from N(0, I/12), which has the moments of the cube, to N(m, Cov) of the codes. (n,) float64.
    """
    y = target.codes.double() - target.weights @ target.codes.double()
    variances, axes = torch.linalg.eigh((y * target.weights[:, None]).T @ y)
    floor = (1e-12 * variances[-1]).clamp_min(torch.finfo(torch.float64).tiny)  # where the codes do not vary, y has no component
    return -0.5 * ((y @ axes).square() / (12 * variances.clamp_min(floor)).sqrt()).sum(1)


def line_heights(target: Target) -> Tensor:
    """Exact heights of one-dimensional codes (n, 1): h_(i+1) − h_(i) = −(y_(i+1) − y_(i)) (F_i − ½),  F_i = Σ_{j ≤ i} b_(j), codes sorted.

    u is convex and piece-wise linear, and cell i ends where two neighbours' lines meet, at x = F_i − ½. (n,) float64 of mean 0.
    """
    y, order = target.codes[:, 0].double().sort()
    ends = target.weights[order].cumsum(0)[:-1] - 0.5
    heights = torch.zeros_like(y).scatter_(0, order[1:], (-y.diff() * ends).cumsum(0))
    return heights - heights.mean()


def starting_heights(target: Target, scores: Scores, x: Tensor) -> Tensor:
    """α · `gaussian_heights`, with that α of ALPHAS whose energy is least; (n,) float64 of mean 0.

    E(h) = E u_h(x) − Σ b_i h_i is convex, and is estimated on the samples x (B, d). α = 0 is among them: this never starts above zero
    heights. scores: of the centred codes; they are left with some heights.
    """
    heights = gaussian_heights(target)
    heights -= heights.mean()
    alphas = torch.tensor(ALPHAS, dtype=torch.float64, device=x.device)
    energies = [scores.lift(alpha * heights).potential(x).double().mean() - alpha * (target.weights @ heights) for alpha in alphas]
    return alphas[torch.stack(energies).argmin()] * heights


class Scales(NamedTuple):
    """Of scores, () float64 each. gap: δ, between the highest of a sample, which heights have to resolve. deviation: σ, of all scores.

    highest: mean of the highest, E u.
    """

    gap: Scalar
    deviation: Scalar
    highest: Scalar

    def fit_bf16(self) -> bool:
        """Whether δ, at starting heights, is at least 6 times the rounding of bf16 at E u, which is 1/256 of it.

        Measured on mixtures in d dimensions: at 5.4 (d = 8) errors were 6 to 13 % above those of fp32, at 6.2 (10) 5 to 8 %, at 7 (16) 2 %.
        """
        return bool(256 * self.gap >= 6 * self.highest)


def score_scales(scores: Scores, x: Tensor) -> Scales:
    """The scales of the scores of samples x (B, d).

    δ = E (S_(1) − S_(k)) / Σ_{j<k} 1/j,  k = min(5, n).  The spacings at the top of many values fall off like 1/j (Rényi 1953), so this is
    E (S_(1) − S_(2)) with less noise, and stays away from 0 where codes come in pairs. At least 1e-4 σ.
    """
    deviation = torch.cat([block.float().std(1, correction=0) for _, block in scores.blocks(x)]).double().mean()
    values = scores.top(x, 5)[0].double()
    highest = values[:, 0].mean()
    if scores.n == 1:
        return Scales(torch.ones_like(highest), deviation, highest)  # no gap: any unit will do
    gap = (highest - values[:, -1].mean()) / sum(1 / j for j in range(1, values.shape[1]))
    return Scales(torch.maximum(gap, 1e-4 * deviation), deviation, highest)
