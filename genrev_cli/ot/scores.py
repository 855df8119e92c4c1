"""The kernels of semi-discrete optimal transport: scores of samples against all codes, and what is read off them.

    S_i(x) = ⟨x, y_i⟩ + h_i,    u(x) = max_i S_i(x) the Brenier potential,    i wins: x is in cell W_i(h)

Scores are made in blocks of rows that fit the cache and are never kept: O(block) memory, no (B, n) matrix.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.shapes import Codes, Scalar

PRECISIONS = ("fp32", "bf16")

_CUTOFF = 7.0  # e⁻⁷ < 1e-3: what lies lower, in units of the smoothing, adds nothing that one can measure


def centred(codes: Codes) -> Codes:
    """y_i − mean y: (n, d) float32. No cell changes, because all scores of an x do by the same ⟨x, mean⟩; but they lose fewer digits."""
    return (codes.double() - codes.double().mean(0)).float()


class Scores(ABC):
    """S of (n, d) codes. n, dim; rows: how many samples are scored at a time."""

    n: int
    dim: int
    rows: int

    @abstractmethod
    def lift(self, heights: Tensor) -> "Scores":
        """Take these heights (n,); returns itself."""

    @abstractmethod
    def block(self, x: Tensor) -> Tensor:
        """S of up to `rows` samples: (b, d) → (b, n), float32 or bfloat16. The next call may overwrite it."""

    @abstractmethod
    def argmax(self, x: Tensor) -> Tensor:
        """The cell of every sample: (B, d) → (B,) int64."""

    @abstractmethod
    def soft_counts(self, x: Tensor, eps: float | Scalar) -> Tensor:
        """c_i = Σ_x p_i(x),  p(x) = softmax(S(x) / ε): (B, d) → (n,), which sums to B; the gradient of B ε E log Σ exp(S/ε) in h."""

    def blocks(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """(samples, their `block`), over all of (B, d)."""
        for part in x.split(self.rows):
            yield part, self.block(part)

    def counts(self, x: Tensor) -> Tensor:
        """How many samples lie in every cell: (B, d) → (n,) int64."""
        return torch.bincount(self.argmax(x), minlength=self.n)

    def potential(self, x: Tensor) -> Tensor:
        """u(x): (B, d) → (B,)."""
        return torch.cat([scores.amax(1).float() for _, scores in self.blocks(x)])

    def top(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The min(k, n) highest scores of every sample, in descending order, and whose they are: (B, d) → (B, k) float32, (B, k) int64."""
        found = [scores.topk(min(k, self.n), dim=1) for _, scores in self.blocks(x)]
        return torch.cat([values for values, _ in found]).float(), torch.cat([indices for _, indices in found])


def build_scores(codes: Codes, precision: str = "fp32", rows: int = 0) -> Scores:
    """The kernels for codes (n, d) on their device, with heights 0. rows: of a block, 0 for what fits.

    bf16 rounds codes, samples and scores: faster where the processor multiplies bf16 (AVX512_BF16, tensor cores), slow elsewhere; which,
    the caller knows. On the CPU it needs centred codes and heights of mean 0, without which a maximum may be negative.
    Raises UsageError for another precision, or when there are no codes.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"semi-discrete transport: precision = {precision!r} is unknown; there is {', '.join(PRECISIONS)}")
    if codes.ndim != 2 or not codes.numel():
        raise UsageError(f"semi-discrete transport: codes (n, d) are needed, not {tuple(codes.shape)}")
    kind = HostScores if codes.device.type == "cpu" else DeviceScores
    return kind(codes, precision, rows)


@final
class HostScores(Scores):
    """On the CPU, where NumPy's reductions of a block run at 20 · 10⁹ scores/s and torch's searches do not.

    The heights travel as columns of the codes, [X, 1][Y, h]ᵀ; in bf16 as two, the second being what rounding took from the first.
    A bf16 ≥ 0 sorts like its bits as int16, and every negative one is a negative int16, so maxima ≥ 0 are found by integers.
    """

    def __init__(self, codes: Codes, precision: str, rows: int) -> None:
        self.n, self.dim = codes.shape
        self.rows = rows or min(256, max(16, (1 << 24) // self.n))
        dtype, columns = (torch.bfloat16, 2) if precision == "bf16" else (torch.float32, 1)
        self._codes = torch.zeros(self.n, self.dim + columns, dtype=dtype)
        self._codes[:, : self.dim] = codes
        self._x = torch.ones(self.rows, self.dim + columns, dtype=dtype)
        self._scores = torch.empty(self.rows, self.n, dtype=dtype)
        self._kept = np.empty((self.rows, self.n), bool)

    def lift(self, heights: Tensor) -> Scores:
        high = heights.to(self._codes.dtype)
        self._codes[:, self.dim] = high
        if self._codes.dtype == torch.bfloat16:
            self._codes[:, self.dim + 1] = heights - high.to(heights.dtype)
        return self

    def block(self, x: Tensor) -> Tensor:
        self._x[: len(x), : self.dim] = x
        return torch.mm(self._x[: len(x)], self._codes.T, out=self._scores[: len(x)])

    def argmax(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.concatenate([_sortable(scores).argmax(1) for _, scores in self.blocks(x)]))

    def soft_counts(self, x: Tensor, eps: float | Scalar) -> Tensor:
        """Where few scores are within 7 ε of the highest, the others are left out (in bf16, those < 0 too); float64."""
        eps, total = float(eps), np.zeros(self.n)
        for _, scores in self.blocks(x):
            highest, kept = self._near(scores, eps)
            if np.count_nonzero(kept) > kept.size // 8:
                total += torch.softmax(scores.float() / eps, 1).sum(0).numpy()
                continue
            flat = np.flatnonzero(kept)
            row, column = np.divmod(flat, self.n)
            p = np.exp((scores.view(-1)[torch.from_numpy(flat)].float().numpy() - highest[row]) / eps)
            p /= np.bincount(row, p, len(scores))[row]
            total += np.bincount(column, p, self.n)
        return torch.from_numpy(total)

    def _near(self, scores: Tensor, eps: float) -> tuple[np.ndarray, np.ndarray]:
        """(b,) the highest score of every row, (b, n) which are near it."""
        ordered = _sortable(scores)
        highest = ordered.max(1)
        values = torch.from_numpy(highest).view(scores.dtype).float()
        least = values - _CUTOFF * eps
        if scores.dtype == torch.bfloat16:
            least.clamp_min_(0)
        bound = np.minimum(_sortable(least.to(scores.dtype)), highest)  # which rounding can take below 0
        return values.numpy(), np.greater_equal(ordered, bound[:, None], out=self._kept[: len(scores)])


@final
class DeviceScores(Scores):
    """On any device by torch alone, without waiting for it. bf16 products are summed in fp32, and the heights added in fp32."""

    def __init__(self, codes: Codes, precision: str, rows: int) -> None:
        self.n, self.dim = codes.shape
        self.rows = rows or min(8192, max(64, (1 << 25) // self.n))
        self._codes = codes.to(torch.bfloat16 if precision == "bf16" else torch.float32)
        self._heights = torch.zeros(self.n, device=codes.device)

    def lift(self, heights: Tensor) -> Scores:
        self._heights = heights.float()
        return self

    def block(self, x: Tensor) -> Tensor:
        x = x.to(self._codes.dtype)
        if x.dtype == torch.float32:
            return torch.addmm(self._heights, x, self._codes.T)
        return torch.mm(x, self._codes.T, out_dtype=torch.float32).add_(self._heights)

    def argmax(self, x: Tensor) -> Tensor:
        return torch.cat([scores.argmax(1) for _, scores in self.blocks(x)])

    def soft_counts(self, x: Tensor, eps: float | Scalar) -> Tensor:
        total = torch.zeros(self.n, dtype=torch.float64, device=x.device)
        for _, scores in self.blocks(x):
            total += torch.softmax(scores.div_(eps), 1).sum(0)
        return total


def _sortable(scores: Tensor) -> Any:
    """The same memory as an array that compares like the scores."""
    return (scores.view(torch.int16) if scores.dtype == torch.bfloat16 else scores).numpy()
