"""What the cells of given heights are like, measured on samples that no fit has seen: their masses and mass centres."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.scores import Scores, build_scores, centred
from genrev_cli.ot.source import Cube, Ranks
from genrev_cli.shapes import Codes

_BATCH = 8192
_SEARCHED = 8  # batches in which a place is looked for that could be a cell's
_ENTRIES = 1 << 24


@dataclass(frozen=True)
class Accuracy:
    """How far the masses w_i of the cells are from the weights b_i, on M fresh samples.

    chi2: Σ w_i²/b_i − 1, unbiased, so slightly negative at times; chi2_std: its standard deviation.
    rel: √chi2, the root mean square of the relative errors w_i/b_i − 1; rel_std: how much higher it is one deviation above.
    empty: cells that no sample hit. total_variation: ½ Σ |c_i/M − b_i|, which counts the noise of the sampling too.
    """

    samples: int
    chi2: float
    chi2_std: float
    rel: float
    rel_std: float
    empty: int
    total_variation: float

    def within(self, rel: float) -> bool:
        """Whether the error is below `rel` with two standard deviations to spare."""
        return self.chi2 + 2 * self.chi2_std < rel * rel


def accuracy(counts: Tensor, weights: Tensor) -> Accuracy:
    """The accuracy that counts (n,) of samples per cell tell, weights (n,) of sum 1.

    chi2 = Σ c_i (c_i − 1) / (b_i M (M − 1)) − 1, a U-statistic with kernel [same cell]/b_i; variance 4 ζ₁/M + 2 ζ₂/M² (Hoeffding 1948)
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


def judge(codes: Codes, heights: Tensor, *, samples: int, seed: int, weights: Tensor | None = None, ranks: Ranks | None = None) -> Accuracy:
    """The accuracy of heights (n,) of distinct codes (n, d), by the exact cells of fresh samples: a fit with the same seed saw none.

    weights: (n,) of sum 1, or equal ones.
    Raises UsageError when sizes differ or there are fewer than two samples.
    """
    scores, cube = _ready(codes, heights, samples), Cube(codes.shape[1], codes.device, seed, "ot-judge", ranks)
    counts = torch.zeros(len(codes), dtype=torch.int64, device=codes.device)
    for k, size in enumerate(_sizes(samples)):
        counts += scores.counts(cube.share(k, size))
    weights = torch.full_like(heights, 1 / len(codes), dtype=torch.float64) if weights is None else weights
    return accuracy(cube.ranks.total(counts), weights)


def mass_centres(codes: Codes, heights: Tensor, *, samples: int, seed: int, precision: str = "fp32", ranks: Ranks | None = None) -> Tensor:
    """ĉ_i: the mean of the samples in cell i of heights (n,) of codes (n, d), for all i: (n, d) float32, inside the cube.

    A cell that no sample hit has the sample that is nearest to being in it, arg max_x S_i(x) − u(x) (of the first batches): where the cell
    appears when h_i is raised. precision: of the scores; in bf16 a sample near a facet may count for the neighbour, which moves no mean.
    Raises UsageError when sizes differ or there are fewer than two samples.
    """
    scores, cube = _ready(codes, heights, samples, precision), Cube(codes.shape[1], codes.device, seed, "ot-centres", ranks)
    sums = torch.zeros(len(codes), codes.shape[1] + 1, dtype=torch.float64, device=codes.device)  # the last column counts
    for k, size in enumerate(_sizes(samples)):
        x = cube.share(k, size)
        sums.index_add_(0, scores.argmax(x), torch.cat([x, torch.ones_like(x[:, :1])], 1).double())
    sums = cube.ranks.total(sums)
    centres = (sums[:, :-1] / sums[:, -1:]).float()
    (empty,) = torch.nonzero(sums[:, -1] == 0, as_tuple=True)
    if len(empty):
        batches = [cube.batch(k, size) for k, size in enumerate(_sizes(samples)[:_SEARCHED])]
        centres[empty] = _nearest_misses(_ready(codes, heights, samples), centred(codes)[empty], heights[empty].float(), batches)
    return centres


def _nearest_misses(scores: Scores, codes: Codes, heights: Tensor, batches: list[Tensor]) -> Tensor:
    """arg max over samples of S_i − u for some codes (e, d) with heights (e,): (e, d)."""
    found, least = torch.zeros_like(codes), torch.full_like(heights, -torch.inf)
    for batch in batches:
        for x in batch.split(max(1, _ENTRIES // len(codes))):
            margin, at = (torch.addmm(heights[:, None], codes, x.T) - scores.potential(x)).max(1)  # (e,)
            better = margin > least
            found[better], least[better] = x[at[better]], margin[better]
    return found


def _ready(codes: Codes, heights: Tensor, samples: int, precision: str = "fp32") -> Scores:
    if heights.shape != codes.shape[:1]:
        raise UsageError(f"semi-discrete transport: {len(codes)} codes and {len(heights)} heights do not belong together")
    if samples < 2:
        raise UsageError(f"semi-discrete transport: {samples} samples say nothing of the cells; take at least 2")
    return build_scores(centred(codes), precision).lift(heights)


def _sizes(samples: int) -> list[int]:
    """Batches that make up so many samples."""
    return [min(_BATCH, samples - start) for start in range(0, samples, _BATCH)]
