"""The kernels of semi-discrete optimal transport: scores of samples for all codes.

    S_i(x) = ⟨x, y_i⟩ + h_i,    u(x) = max_i S_i(x) the Brenier potential,    S_i(x) maximal: x is in cell W_i(h)

Scores are computed in blocks of rows that fit the cache, and not kept: no (B, n) matrix is stored.
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

CUTOFF = 7.0  # e⁻⁷ < 1e-3: scores lower than this, in units of ε, add nothing measurable


def centred(codes: Codes) -> Codes:
    """Return y_i − mean y, (n, d) float32. Cells stay the same, because all scores of an x change by ⟨x, mean⟩; rounding is less."""
    return (codes.double() - codes.double().mean(0)).float()


class Scores(ABC):
    """Computes S for codes (n, dim). rows: number of samples that are scored at a time."""

    n: int
    dim: int
    rows: int

    @abstractmethod
    def lift(self, heights: Tensor) -> "Scores":
        """Set the heights (n,), and return itself."""

    @abstractmethod
    def block(self, x: Tensor) -> Tensor:
        """Return S of up to `rows` samples: (b, d) → (b, n), float32 or bfloat16. The next call may overwrite it."""

    @abstractmethod
    def argmax(self, x: Tensor) -> Tensor:
        """Return the cell of every sample: (B, d) → (B,) int64."""

    @abstractmethod
    def soft_counts(self, x: Tensor, eps: float | Scalar) -> Tensor:
        """Return c_i = Σ_x p_i(x),  p(x) = softmax(S(x) / ε): (B, d) → (n,), with sum B; the gradient of B ε E log Σ exp(S/ε) in h."""

    def blocks(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (samples, their `block`) for all of (B, d)."""
        for part in x.split(self.rows):
            yield part, self.block(part)

    def counts(self, x: Tensor) -> Tensor:
        """Return the number of samples in each cell: (B, d) → (n,) int64."""
        return torch.bincount(self.argmax(x), minlength=self.n)

    def potential(self, x: Tensor) -> Tensor:
        """Return u(x): (B, d) → (B,)."""
        return torch.cat([scores.amax(1).float() for _, scores in self.blocks(x)])

    def top(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the min(k, n) highest scores of samples, in descending order, and their cells: (B, d) → (B, k) float32, (B, k) int64."""
        found = [scores.topk(min(k, self.n), dim=1) for _, scores in self.blocks(x)]
        return torch.cat([values for values, _ in found]).float(), torch.cat([indices for _, indices in found])


def build_scores(codes: Codes, precision: str = "fp32", rows: int = 0) -> Scores:
    """Return the kernels for codes (n, d), on their device, with heights 0. rows: rows of a block; 0 chooses what fits the cache.

    bf16 rounds codes, samples and scores. It is faster if the processor multiplies bf16 (AVX512_BF16, tensor cores), else slow. On the CPU
    it needs centred codes and heights of mean 0; otherwise a maximum may be negative.
    Raises UsageError for an unknown precision, or when there are no codes.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"semi-discrete transport: precision = {precision!r} is unknown; choose {', '.join(PRECISIONS)}")
    if codes.ndim != 2 or not codes.numel():
        raise UsageError(f"semi-discrete transport: codes must be (n, d), not {tuple(codes.shape)}")
    kind = HostScores if codes.device.type == "cpu" else DeviceScores
    return kind(codes, precision, rows)


@final
class LiftedCodes:
    """Codes (n, d) with their heights as columns on the CPU, so that S = [X, 1][Y, h]ᵀ.

    In bf16 the heights are two columns, the second for the rounding error of the first. values: (n, d + 1) float32 or (n, d + 2) bfloat16.
    """

    def __init__(self, codes: Codes, precision: str) -> None:
        self.dim = codes.shape[1]
        dtype, columns = (torch.bfloat16, 2) if precision == "bf16" else (torch.float32, 1)
        self.values = torch.zeros(len(codes), self.dim + columns, dtype=dtype)
        self.values[:, : self.dim] = codes

    def lift(self, heights: Tensor) -> None:
        """Set the heights (n,)."""
        high = heights.to(self.values.dtype)
        self.values[:, self.dim] = high
        if self.values.dtype == torch.bfloat16:
            self.values[:, self.dim + 1] = heights - high.to(heights.dtype)

    def ones(self, rows: int) -> Tensor:
        """Return rows of ones that fit the codes; samples go into the first d columns."""
        return torch.ones(rows, self.values.shape[1], dtype=self.values.dtype)


@final
class HostScores(Scores):
    """Scores on the CPU. NumPy reduces a block at 20 · 10⁹ scores/s, which torch does not reach.

    bf16 numbers ≥ 0 have the order of their bits as int16, and negative ones are negative as int16, so maxima ≥ 0 are found by integers.
    """

    def __init__(self, codes: Codes, precision: str, rows: int) -> None:
        self.n, self.dim = codes.shape
        self.rows = rows or min(256, max(16, (1 << 24) // self.n))
        self._lifted = LiftedCodes(codes, precision)
        self._x = self._lifted.ones(self.rows)
        self._scores = torch.empty(self.rows, self.n, dtype=self._x.dtype)
        self._kept = np.empty((self.rows, self.n), bool)

    def lift(self, heights: Tensor) -> Scores:
        self._lifted.lift(heights)
        return self

    def block(self, x: Tensor) -> Tensor:
        self._x[: len(x), : self.dim] = x
        return torch.mm(self._x[: len(x)], self._lifted.values.T, out=self._scores[: len(x)])

    def argmax(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.concatenate([sortable(scores).argmax(1) for _, scores in self.blocks(x)]))

    def soft_counts(self, x: Tensor, eps: float | Scalar) -> Tensor:
        """If few scores are within 7 ε of the highest, leave the others out (in bf16 also those < 0); sum in float64."""
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
        """Return the highest score of every row, (b,), and a mask of the scores near it, (b, n)."""
        ordered = sortable(scores)
        highest = ordered.max(1)
        values = torch.from_numpy(highest).view(scores.dtype).float()
        least = values - CUTOFF * eps
        if scores.dtype == torch.bfloat16:
            least.clamp_min_(0)
        bound = np.minimum(sortable(least.to(scores.dtype)), highest)  # rounding can take the highest score below 0
        return values.numpy(), np.greater_equal(ordered, bound[:, None], out=self._kept[: len(scores)])


@final
class DeviceScores(Scores):
    """Scores on any device, by torch, without waiting for it. bf16 products and heights are summed in fp32."""

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


def sortable(scores: Tensor) -> Any:
    """Return the same memory as an array that has the order of the scores; in bf16, of those ≥ 0."""
    return (scores.view(torch.int16) if scores.dtype == torch.bfloat16 else scores).numpy()
