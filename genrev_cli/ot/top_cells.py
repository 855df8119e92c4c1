"""The cells of the highest scores of a sample: chosen by rounded scores with a bound of their error, then ranked in float64.

    S_i(x) = ⟨x, y_i⟩ + h_i, exactly;   a_i the same rounded, |a_i − S_i| ≤ δ;   t ≤ the k-th highest a_i
    S_i is among the k highest  ⇒  a_i ≥ t − 2δ

So the rounded scores only choose candidates, and what is found depends neither on their precision nor on the other samples of a batch.
"""

from typing import final

import numpy as np
import torch
from torch import Tensor

from genrev_cli.ot.scores import Scores, build_scores, centred
from genrev_cli.shapes import Codes

_ROWS = 128
"""Samples that are scored at a time on CUDA, always as many, because products of another number of rows are rounded differently."""
_HOST_ROWS, _HOST_SCORES = 256, 1 << 25  # at a time on the CPU: samples at most, and scores
_GROUP = 16  # codes that share one maximum
_LEAST_CODES = 4096  # from which on bf16 saves time
_MOST_GROUPS = 8  # times k, on average, in which there are candidates; where bf16 leaves more, fp32 chooses
_SPARE = 12  # candidates beyond k on CUDA
_NOWHERE = -1e30  # a height
_AT_A_TIME = 1 << 21  # numbers: of the candidates' codes that are held at once

_UNITS = {"bf16": 2.0**-8, "fp32": 2.0**-24}


def multiplies_bf16() -> bool:
    """Return True if this CPU multiplies bf16 in hardware, as far as torch can tell."""
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.backends.mkldnn.is_available() and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def searched_by_host(device: torch.device) -> bool:
    """Return True where a search may wait for its numbers, and NumPy can read them."""
    return device.type == "cpu"


@final
class TopCells:
    """The min(k, n) highest scores of codes (n, d) with heights (n,), set up once for any number of samples.

    bf16: choose candidates by bf16 scores where there are enough codes; None does so where the CPU has it in hardware. It changes the time
    and not the result. On CUDA the k + 12 highest fp32 scores are the candidates, so that nothing waits; more than 12 that are equal up to
    rounding could hide one of the k.
    """

    def __init__(self, codes: Codes, heights: Tensor, k: int, bf16: bool | None = None) -> None:
        self.codes, self.heights, self.k = codes, heights.double(), min(k, len(codes))
        self._on_host = searched_by_host(codes.device)
        wants = self._on_host and len(codes) >= _LEAST_CODES and (multiplies_bf16() if bf16 is None else bf16)
        self._precision = "bf16" if wants else "fp32"
        self._rows = max(1, min(_HOST_ROWS, _HOST_SCORES // len(codes))) if self._on_host else _ROWS
        y, h = centred(codes), (self.heights - self.heights.mean()).float()  # a constant would cost digits
        self._longest, self._highest = y.square().sum(1).amax().sqrt(), h.abs().amax()
        self._group = _GROUP if self._on_host and len(codes) >= 4 * _GROUP * self.k else 1
        more = -len(codes) % self._group  # cells that win nowhere fill the last group
        self._filled = torch.cat([y, y.new_zeros(more, y.shape[1])]), torch.cat([h, h.new_full((more,), _NOWHERE)])
        self._made: dict[str, Scores] = {}

    def __call__(self, x: Codes) -> Tensor:
        """Return the cells in descending order of their scores, equal ones in ascending order: (B, d) → (B, k) int64."""
        find = self._found_on_host if self._on_host else self._found_on_device
        found = [find(part) for part in x.split(self._rows) if len(part)]
        return torch.cat(found) if found else torch.zeros(0, self.k, dtype=torch.int64, device=x.device)

    def _scores(self, precision: str) -> Scores:
        """The kernel, made when it is first needed: most maps need no fp32 one beside that of bf16."""
        if precision not in self._made:
            y, h = self._filled
            self._made[precision] = build_scores(y, precision, self._rows).lift(h)
        return self._made[precision]

    def _found_on_device(self, x: Codes) -> Tensor:
        full = torch.cat([x.float(), x.new_zeros(_ROWS - len(x), x.shape[1], dtype=torch.float32)])
        highest = self._scores("fp32").block(full)[: len(x)].topk(min(self.k + _SPARE, len(self.codes)), dim=1).indices.sort(1).values
        exact = (self.codes[highest].double() * x.double()[:, None]).sum(2) + self.heights[highest]
        return highest.gather(1, exact.sort(dim=1, descending=True, stable=True).indices[:, : self.k])

    def _found_on_host(self, x: Codes) -> Tensor:
        found = self._candidates(x.float(), self._precision)
        if found is None:
            self._precision = "fp32"  # for all that follow: bf16 does not tell the scores of this map apart
            return self._found_on_host(x)
        return self._ranked(x.double(), *found)

    def _candidates(self, x: Tensor, precision: str) -> tuple[np.ndarray, np.ndarray] | None:
        """(row, cell) of all that can be among the k highest, in ascending order: (b, d) → (N,), (N,). None where bf16 leaves too many."""
        scores = self._scores(precision).block(x)
        a = (scores.view(torch.int16) if precision == "bf16" else scores).numpy()  # bf16 ≥ 0 are in the order of their bits
        groups = a.shape[1] // self._group  # group g: the cells g, g + groups, g + 2 groups, …
        highest = a.reshape(len(a), self._group, groups).max(1)
        least = self._least(np.partition(highest, -self.k, axis=1)[:, -self.k], x, precision)
        near = np.flatnonzero(highest >= least[:, None])
        if precision == "bf16" and len(near) > _MOST_GROUPS * self.k * len(x):
            return None
        row, first = np.divmod(near, groups)
        flat = (row * a.shape[1] + first)[:, None] + groups * np.arange(self._group)
        return np.divmod(np.sort(flat[a.ravel()[flat] >= least[row][:, None]]), a.shape[1])

    def _least(self, t: np.ndarray, x: Tensor, precision: str) -> np.ndarray:
        """t − 2δ, (b,) in the type of t; for a bf16 below 0, whose bits are in the wrong order, what all scores exceed."""
        unit, d = _UNITS[precision], x.shape[1]
        product = x.double().square().sum(1).sqrt() * self._longest  # ≥ Σ |x_j y_ij|
        summed = (d + 8) * 2.0**-23 * (product + self._highest)
        error = 1.01 * (2 * unit * product + unit**2 * self._highest + summed)
        if precision == "fp32":
            return (torch.from_numpy(t).double() - 2 * error).float().numpy()
        lowest = (torch.from_numpy(t).view(torch.bfloat16).double() * (1 - unit) - 2 * error).bfloat16()
        return torch.where(lowest > 0, lowest.view(torch.int16), torch.iinfo(torch.int16).min).numpy()

    def _ranked(self, x: Tensor, row: np.ndarray, cell: np.ndarray) -> Tensor:
        """The k highest of the candidates of every row, which are in ascending order: (b, d) float64 → (b, k)."""
        count = np.bincount(row, minlength=len(x))
        place = row, np.arange(len(row)) - (count.cumsum() - count)[row]
        cells = np.zeros((len(x), max(self.k, count.max())), np.int64)
        scores = np.full(cells.shape, np.inf)
        cells[place] = cell
        parts = zip(*(torch.from_numpy(of).split(max(1, _AT_A_TIME // x.shape[1])) for of in (row, cell)), strict=True)
        pairs = ((x.index_select(0, r), self.codes.index_select(0, c).double(), self.heights[c]) for r, c in parts)
        exact = [at.mul_(code).sum(1) + height for at, code, height in pairs]
        scores[place] = -torch.cat(exact).numpy()
        return torch.from_numpy(np.take_along_axis(cells, np.argsort(scores, axis=1, kind="stable")[:, : self.k], axis=1))
