"""The masses and mass centres of the cells of given heights, measured on samples that no fit has used."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.clusters import PROBES, ClusterSearch
from genrev_cli.ot.scores import Scores, build_scores, centred
from genrev_cli.ot.source import SOURCES, Ranks, Source
from genrev_cli.shapes import Codes

_BATCH = 8192
_SEARCHED = 8  # batches searched for the centre of an empty cell
_ENTRIES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The differences between the masses w_i of the cells and the weights b_i, measured on M fresh samples.

    chi2: unbiased estimate of Σ w_i²/b_i − 1, so it may be slightly negative. chi2_std: its standard deviation.
    rel: √chi2, the root mean square of the relative errors w_i/b_i − 1. rel_std: √(chi2 + chi2_std) − rel.
    empty: number of cells that no sample hit. total_variation: ½ Σ |c_i/M − b_i|, which includes the sampling noise.
    """

    samples: int
    chi2: float
    chi2_std: float
    rel: float
    rel_std: float
    empty: int
    total_variation: float

    def within(self, rel: float) -> bool:
        """Return True if the error is below `rel` by at least two standard deviations."""
        return self.chi2 + 2 * self.chi2_std < rel * rel


def accuracy(counts: Tensor, weights: Tensor) -> Accuracy:
    """Compute the accuracy from counts (n,) of samples per cell and weights (n,) with sum 1.

    chi2 = Σ c_i (c_i − 1) / (b_i M (M − 1)) − 1, a U-statistic with kernel [same cell]/b_i and variance 4 ζ₁/M + 2 ζ₂/M² (Hoeffding 1948)
    with ζ₁ = Σ w³/b² − (Σ w²/b)² and ζ₂ = Σ w²/b² − (Σ w²/b)², about 2n/M² at the solution.
    """
    c, b = counts.double(), weights.double()
    samples = int(c.sum())
    pairs = c * (c - 1) / (samples * (samples - 1))  # unbiased w²
    second = float((pairs / b).sum())
    zeta_1 = float((pairs * (c - 2).clamp_min(0) / b**2).sum()) / samples - second**2
    zeta_2 = float((pairs / b**2).sum()) - second**2
    std = math.sqrt(4 * max(zeta_1, 0.0) / samples + 2 * max(zeta_2, 0.0) / samples**2)
    rel = math.sqrt(max(second - 1, 0.0))
    return Accuracy(
        samples=samples,
        chi2=second - 1,
        chi2_std=std,
        rel=rel,
        rel_std=math.sqrt(max(second - 1, 0.0) + std) - rel,
        empty=int((c == 0).sum()),
        total_variation=float(0.5 * (c / samples - b).abs().sum()),
    )


def judge(
    codes: Codes,
    heights: Tensor,
    *,
    samples: int,
    seed: int,
    weights: Tensor | None = None,
    source: str = "cube",
    ranks: Ranks | None = None,
    search: ClusterSearch | None = None,
) -> Accuracy:
    """Measure the accuracy of heights (n,) of distinct codes (n, d) on fresh samples, which a fit with the same seed does not use.

    weights: (n,) with sum 1; None means equal. source: a name of SOURCES. search: find cells by it; a thousandth of them may then be wrong.
    Raises UsageError if sizes differ or there are fewer than two samples.
    """
    x = SOURCES[source](codes.shape[1], codes.device, seed, "ot-judge", ranks=ranks)
    scores = _searched(search, codes, heights, x) or _ready(codes, heights, samples)
    counts = torch.zeros(len(codes), dtype=torch.int64, device=codes.device)
    for k, size in enumerate(_sizes(samples)):
        counts += scores.counts(x.share(k, size))
    weights = torch.full_like(heights, 1 / len(codes), dtype=torch.float64) if weights is None else weights
    return accuracy(x.ranks.total(counts), weights)


def mass_centres(
    codes: Codes,
    heights: Tensor,
    *,
    samples: int,
    seed: int,
    precision: str = "fp32",
    source: str = "cube",
    ranks: Ranks | None = None,
    search: ClusterSearch | None = None,
) -> Tensor:
    """Return the mean ĉ_i of the samples in each cell i, for heights (n,) of codes (n, d): (n, d) float32. source: a name of SOURCES.

    For a cell that no sample hit, ĉ_i is the sample closest to it, arg max_x S_i(x) − u(x), in the first batches: the cell appears there
    when h_i grows. precision: of the scores. In bf16 a sample near a facet may count for the neighbouring cell; the means hardly change.
    search: find cells by it; for a thousandth of the samples it may be a neighbouring cell.
    Raises UsageError if sizes differ or there are fewer than two samples.
    """
    drawn = SOURCES[source](codes.shape[1], codes.device, seed, "ot-centres", ranks=ranks)
    scores = _searched(search, codes, heights, drawn) or _ready(codes, heights, samples, precision)
    sums = torch.zeros(len(codes), codes.shape[1] + 1, dtype=torch.float64, device=codes.device)  # the last column counts
    for k, size in enumerate(_sizes(samples)):
        x = drawn.share(k, size)
        sums.index_add_(0, scores.argmax(x), torch.cat([x, torch.ones_like(x[:, :1])], 1).double())
    sums = drawn.ranks.total(sums)
    centres = (sums[:, :-1] / sums[:, -1:]).float()
    (empty,) = torch.nonzero(sums[:, -1] == 0, as_tuple=True)
    if len(empty):
        batches = [drawn.batch(k, size) for k, size in enumerate(_sizes(samples)[:_SEARCHED])]
        centres[empty] = _nearest_misses(_ready(codes, heights, samples), centred(codes)[empty], heights[empty].float(), batches)
    return centres


def _nearest_misses(scores: Scores, codes: Codes, heights: Tensor, batches: list[Tensor]) -> Tensor:
    """Return arg max_x S_i(x) − u(x) over the samples, for codes (e, d) with heights (e,): (e, d)."""
    found, least = torch.zeros_like(codes), torch.full_like(heights, -torch.inf)
    for batch in batches:
        for x in batch.split(max(1, _ENTRIES // len(codes))):
            margin, at = (torch.addmm(heights[:, None], codes, x.T) - scores.potential(x)).max(1)  # (e,)
            better = margin > least
            found[better], least[better] = x[at[better]], margin[better]
    return found


def _searched(search: ClusterSearch | None, codes: Codes, heights: Tensor, x: Source) -> ClusterSearch | None:
    """Return the search with heights (n,) of the codes (n, d); None if there is none, or it would gain nothing."""
    if search is None:
        return None
    probe = type(x)(x.dim, x.device, x.seed, f"{x.purpose}-search")
    margin, _ = search.measured(codes, heights, probe.batch(0, PROBES))
    return search.lift(heights, margin) if margin < math.inf else None


def _ready(codes: Codes, heights: Tensor, samples: int, precision: str = "fp32") -> Scores:
    if heights.shape != codes.shape[:1]:
        raise UsageError(f"semi-discrete transport: {len(codes)} codes and {len(heights)} heights do not fit together")
    if samples < 2:
        raise UsageError(f"semi-discrete transport: samples = {samples} is too few to measure cells; use at least 2")
    return build_scores(centred(codes), precision).lift(heights)


def _sizes(samples: int) -> list[int]:
    """Return the batch sizes that add up to `samples`."""
    return [min(_BATCH, samples - start) for start in range(0, samples, _BATCH)]
