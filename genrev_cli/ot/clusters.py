"""Find the cells of samples among many codes on the CPU: score only clusters of codes that can win.

    y_i = μ_c + r_i, c the cluster of i:   S_i(x) = ⟨x, μ_c⟩ + ⟨x, r_i⟩ + h_i ≤ ⟨x, μ_c⟩ + ω_c(m),   ω_c(m) = max_{i in c} h_i + m |r_i|

The bound holds for m ≥ |x| (Cauchy–Schwarz), where it excludes little: in many dimensions |x| |r| is far above ⟨x, r⟩. So m is measured: it
is the smallest of some lengths for which the clusters with ⟨x, μ_c⟩ + ω_c(m) ≥ u(x) contain the winners of 99.9 % of fresh samples,
which are found exactly. If these clusters have most of the codes, the search gains nothing, and the exact kernels are used.
"""

import math
from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from torch import Tensor

from genrev_cli.ot.scores import CUTOFF, LiftedCodes, build_scores, centred, sortable
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes, Scalar

PROBES = 1024
"""Number of samples that measure m."""
RECALL = 0.999
MOST_SHARE = 0.5
"""If more than this share of the codes must be scored, the exact kernels are used."""
_LEVELS = 20  # lengths m that are tried, up to the longest |x|
_MOST_CLUSTERS, _MEMBERS, _ROUNDS = 1024, 64, 6  # of k-means: clusters, codes per cluster that place the centres, rounds
_ROWS = 4096
_FIRST = 4  # clusters whose highest score is the first lower bound of u
_WIDTH, _HEIGHT = 64, 128  # products have multiples of these as sizes, because oneDNN prepares itself for each new size
_NOWHERE = -1e30  # height of the places that fill up a cluster

_Visit = tuple[int, np.ndarray, Tensor]
"""Of a cluster: its first place, the rows of samples that can win there (r,), their scores for its places (r, p)."""


@final
class ClusterSearch:
    """Computes what `Scores` does for codes (n, d) on the CPU, from the clusters that can win. precision: of the scores.

    seed: of the clusters, which depend on nothing else than the codes.
    """

    def __init__(self, codes: Codes, seed: int, precision: str = "fp32") -> None:
        y = centred(codes)
        self.n, self.dim = y.shape
        self._centres = _clusters(y, seed)
        self._cluster = torch.cat([_nearest(part, self._centres) for part in y.split(_ROWS)])
        self._sizes = torch.bincount(self._cluster, minlength=len(self._centres))
        ends = (self._sizes + _WIDTH - 1).div(_WIDTH, rounding_mode="floor").mul(_WIDTH).cumsum(0)
        self._first, order = [0, *ends.tolist()], self._cluster.argsort(stable=True)
        within = torch.arange(self.n) - (self._sizes.cumsum(0) - self._sizes)[self._cluster[order]]
        self._place = torch.empty_like(order).scatter_(0, order, torch.tensor(self._first)[self._cluster[order]] + within)
        self._code = torch.zeros(self._first[-1], dtype=torch.int64).scatter_(0, self._place, torch.arange(self.n))
        self._lifted, self._heights = LiftedCodes(y[self._code], precision), y.new_zeros(self.n, dtype=torch.float64)
        self._radii = torch.linalg.vector_norm(y - self._centres[self._cluster], dim=1)
        self._reach = y.new_zeros(len(self._centres))
        self._x, self._scores = self._lifted.ones(_ROWS), self._lifted.ones(0).flatten()

    def lift(self, heights: Tensor, margin: float) -> "ClusterSearch":
        """Set the heights (n,) and the length m, and return itself."""
        self._heights = (heights - heights.mean()).double()
        self._lifted.lift(self._heights.new_full(self._code.shape, _NOWHERE).scatter_(0, self._place, self._heights))
        self._reach = self._reached(margin)
        return self

    def _reached(self, margin: float) -> Tensor:
        """Return ω_c(m): (C,)."""
        highest = self._heights.float() + margin * self._radii
        return torch.full_like(self._centres[:, 0], -math.inf).scatter_reduce_(0, self._cluster, highest, "amax")

    def measured(self, codes: Codes, heights: Tensor, x: Codes) -> tuple[float, float]:
        """Return m for heights (n,) of the codes (n, d) of this search, and the share of codes that must be scored, from samples x (B, d).

        m is infinite if the share is above MOST_SHARE.
        """
        self.lift(heights, 0.0)
        found, won = build_scores(centred(codes)).lift(heights - heights.mean()).top(x, 1)
        at, longest = x @ self._centres.T, float(torch.linalg.vector_norm(x, dim=1).max())
        least, margin, near = found - 1e-5 * found.abs().max(), 0.0, at < 0
        for level in range(1, _LEVELS + 1):
            margin = longest * level / _LEVELS
            near = at + self._reached(margin) >= least
            if near.gather(1, self._cluster[won]).double().mean() >= RECALL:
                break
        share = float((near.double() @ self._sizes.double()).mean()) / self.n
        return (margin if share <= MOST_SHARE else math.inf), share

    def argmax(self, x: Codes) -> Tensor:
        """Return the cell of every sample: (B, d) → (B,) int64."""
        return torch.cat([self._winners(part) for part in x.split(_ROWS)])

    def counts(self, x: Codes) -> Tensor:
        """Return the number of samples in each cell: (B, d) → (n,) int64."""
        return torch.bincount(self.argmax(x), minlength=self.n)

    def soft_counts(self, x: Codes, eps: float | Scalar) -> Tensor:
        """Return c_i = Σ_x p_i(x),  p(x) = softmax(S(x) / ε) over scores within 7 ε of the highest: (B, d) → (n,) float64."""
        total = np.zeros(len(self._code))
        for part in x.split(_ROWS):
            self._add_soft(part, float(eps), total)
        return torch.from_numpy(total)[self._place]

    def _winners(self, x: Codes) -> Tensor:
        highest, cells = np.full(len(x), -np.inf, np.float32), np.zeros(len(x), np.int64)
        _, visits = self._visits(x)
        for first, rows, scores in visits:
            at = sortable(scores).argmax(1)
            found, before = scores[torch.arange(len(at)), torch.from_numpy(at)].float().numpy(), highest[rows]
            better = found > before
            highest[rows] = np.where(better, found, before)
            cells[rows] = np.where(better, first + at, cells[rows])
        return self._code[torch.from_numpy(cells)]

    def _add_soft(self, x: Codes, eps: float, total: np.ndarray) -> None:
        """Add the soft counts of up to _ROWS samples to those of the places, (P,)."""
        least, visits = self._visits(x)
        bound = sortable((least - CUTOFF * eps).clamp_min(0 if self._x.dtype == torch.bfloat16 else -math.inf).to(self._x.dtype))
        kept = []
        for first, rows, scores in visits:
            flat = np.flatnonzero(sortable(scores) >= bound[rows][:, None])
            row, column = np.divmod(flat, scores.shape[1])
            kept.append((rows[row], first + column, scores.view(-1)[torch.from_numpy(flat)].float().numpy()))
        row, cell, score = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        highest = np.full(len(x), -np.inf, np.float32)
        np.maximum.at(highest, row, score)
        below = (highest[row] - score).astype(np.float64)
        p = np.where(below <= CUTOFF * eps, np.exp(-below / eps), 0)
        p /= np.bincount(row, p, len(x))[row]
        total += np.bincount(cell, p, len(total))

    def _visits(self, x: Codes) -> tuple[Tensor, Iterator[_Visit]]:
        """Return a lower bound of u, (b,), and visit every cluster with the samples that can win there: x (b, d).

        The bound is the highest score in the clusters with the highest ⟨x, μ_c⟩ + ω_c.
        """
        self._x[: len(x), : self.dim] = x
        bounds = torch.addmm(self._reach[:, None], self._centres, x.T)  # (C, b)
        first = bounds.topk(min(_FIRST, len(bounds)), dim=0).indices
        least = np.full(len(x), -np.inf, np.float32)
        for _, rows, scores in self._scored(first.flatten(), torch.arange(len(x)).repeat(len(first))):
            highest = torch.from_numpy(sortable(scores).max(1)).view(scores.dtype).float()
            least[rows] = np.maximum(least[rows], highest.numpy())
        bound = torch.from_numpy(least)
        near = (bounds >= bound).scatter_(0, first, True)
        return bound, self._scored(*torch.nonzero(near, as_tuple=True))

    def _scored(self, cluster: Tensor, row: Tensor) -> Iterator[_Visit]:
        """Visit every cluster that has samples. cluster, row: pairs, (p,) each. The next visit overwrites the scores."""
        row = row[cluster.argsort(stable=True)]
        for number, rows in enumerate(row.split(torch.bincount(cluster, minlength=len(self._centres)).tolist())):
            first, last = self._first[number : number + 2]
            if len(rows) and last > first:
                filled = torch.cat([rows, rows[:1].expand(-len(rows) % _HEIGHT)])
                size = len(filled) * (last - first)
                if len(self._scores) < size:
                    self._scores = self._scores.new_empty(size)
                scores = self._scores[:size].view(len(filled), last - first)
                torch.mm(self._x.index_select(0, filled), self._lifted.values[first:last].T, out=scores)
                yield first, rows.numpy(), scores[: len(rows)]


def _nearest(y: Codes, centres: Codes) -> Tensor:
    """Return the nearest centre of every code: (n, d), (C, d) → (n,) int64."""
    return torch.addmm(-0.5 * centres.square().sum(1), y, centres.T).argmax(1)


def _clusters(y: Codes, seed: int) -> Codes:
    """Return centres of about √n clusters, by some rounds of k-means on some of the codes: (n, d) → (C, d)."""
    count = min(_MOST_CLUSTERS, math.isqrt(len(y)))
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(derive(seed, "ot-clusters")))[: _MEMBERS * count]]
    centres = y[:count]
    for _ in range(_ROUNDS):
        at = _nearest(y, centres)
        members = torch.bincount(at, minlength=count)[:, None]
        centres = torch.where(members > 0, torch.zeros_like(centres).index_add_(0, at, y) / members.clamp_min(1), centres)
    return centres
