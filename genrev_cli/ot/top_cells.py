"""Find the cells with the highest scores of a sample: choose them by rounded scores and an error bound, then rank them in float64.

    S_i(x) = ⟨x, y_i⟩ + h_i, exact;   a_i rounded, |a_i − S_i| ≤ δ;   t ≤ the k-th highest a_i
    S_i is among the k highest  ⇒  a_i ≥ t − 2δ

Rounded scores only choose candidates, so the result depends neither on their precision nor on the other samples of a batch.
"""

from typing import final

import numpy as np
import torch
from torch import Tensor

from genrev_cli.ot.scores import Scores, build_scores, centred
from genrev_cli.shapes import Codes

_ROWS = 128
"""Number of samples that are scored at a time on CUDA. It is fixed, because the number of rows changes how products are rounded."""
_HOST_ROWS, _HOST_SCORES = 256, 1 << 25  # largest numbers of samples and of scores at a time on the CPU
_GROUP = 16  # codes that share one maximum
_LEAST_CODES = 4096  # with fewer, bf16 does not save time
_MOST_GROUPS = 8  # times k, groups with candidates per sample; if bf16 leaves more, fp32 chooses
_SPARE = 12  # candidates beyond k on CUDA
_NOWHERE = -1e30  # height of a cell that no sample lies in
_AT_A_TIME = 1 << 21  # values of the candidates' codes in memory at once

_UNITS = {"bf16": 2.0**-8, "fp32": 2.0**-24}


def multiplies_bf16() -> bool:
    """Return True if this CPU multiplies bf16 in hardware, as far as torch can tell."""
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.backends.mkldnn.is_available() and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def searched_by_host(device: torch.device) -> bool:
    """Return True if NumPy can read tensors of the device without a wait."""
    return device.type == "cpu"


@final
class TopCells:
    """Finds the min(k, n) highest scores of codes (n, d) with heights (n,); set up once for any number of samples.

    bf16: choose candidates by bf16 scores if there are enough codes; None does so if the CPU has bf16 in hardware. The result stays the
    same. On CUDA the candidates are the k + 12 highest fp32 scores, so that nothing waits; if more than 12 scores were equal up to
    rounding, one of the k could be missed.
    """

    def __init__(self, codes: Codes, heights: Tensor, k: int, bf16: bool | None = None) -> None:
        self.codes, self.heights, self.k = codes, heights.double(), min(k, len(codes))
        self._on_host = searched_by_host(codes.device)
        wants = self._on_host and len(codes) >= _LEAST_CODES and (multiplies_bf16() if bf16 is None else bf16)
        self._precision = "bf16" if wants else "fp32"
        self._rows = max(1, min(_HOST_ROWS, _HOST_SCORES // len(codes))) if self._on_host else _ROWS
        y, h = centred(codes), (self.heights - self.heights.mean()).float()  # a constant only loses digits
        self._longest, self._highest = y.square().sum(1).amax().sqrt(), h.abs().amax()
        self._group = _GROUP if self._on_host and len(codes) >= 4 * _GROUP * self.k else 1
        more = -len(codes) % self._group  # cells without samples fill the last group
        self._filled = torch.cat([y, y.new_zeros(more, y.shape[1])]), torch.cat([h, h.new_full((more,), _NOWHERE)])
        self._made: dict[str, Scores] = {}

    def __call__(self, x: Codes) -> Tensor:
        """Return cells in descending order of their scores, and in ascending order of index if scores are equal: (B, d) → (B, k) int64."""
        find = self._found_on_host if self._on_host else self._found_on_device
        found = [find(part) for part in x.split(self._rows) if len(part)]
        return torch.cat(found) if found else torch.zeros(0, self.k, dtype=torch.int64, device=x.device)

    def _scores(self, precision: str) -> Scores:
        """Return the kernel, made at its first use: most maps need either fp32 or bf16."""
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
            self._precision = "fp32"  # from now on: the scores of this map are too close for bf16
            return self._found_on_host(x)
        return self._ranked(x.double(), *found)

    def _candidates(self, x: Tensor, precision: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (row, cell) of all candidates for the k highest, in ascending order: (b, d) → (N,), (N,). None if bf16 leaves too many."""
        scores = self._scores(precision).block(x)
        a = (scores.view(torch.int16) if precision == "bf16" else scores).numpy()  # the bits of bf16 ≥ 0 have the order of the numbers
        groups = a.shape[1] // self._group  # group g has the cells g, g + groups, g + 2·groups, …
        highest = a.reshape(len(a), self._group, groups).max(1)
        least = self._least(np.partition(highest, -self.k, axis=1)[:, -self.k], x, precision)
        near = np.flatnonzero(highest >= least[:, None])
        if precision == "bf16" and len(near) > _MOST_GROUPS * self.k * len(x):
            return None
        row, first = np.divmod(near, groups)
        flat = (row * a.shape[1] + first)[:, None] + groups * np.arange(self._group)
        return np.divmod(np.sort(flat[a.ravel()[flat] >= least[row][:, None]]), a.shape[1])

    def _least(self, t: np.ndarray, x: Tensor, precision: str) -> np.ndarray:
        """Return t − 2δ, (b,) in the type of t. For a bf16 below 0, whose bits have the wrong order, return a value below all scores."""
        unit, d = _UNITS[precision], x.shape[1]
        product = x.double().square().sum(1).sqrt() * self._longest  # ≥ Σ |x_j y_ij|
        summed = (d + 8) * 2.0**-23 * (product + self._highest)
        error = 1.01 * (2 * unit * product + unit**2 * self._highest + summed)
        if precision == "fp32":
            return (torch.from_numpy(t).double() - 2 * error).float().numpy()
        lowest = (torch.from_numpy(t).view(torch.bfloat16).double() * (1 - unit) - 2 * error).bfloat16()
        return torch.where(lowest > 0, lowest.view(torch.int16), torch.iinfo(torch.int16).min).numpy()

    def _ranked(self, x: Tensor, row: np.ndarray, cell: np.ndarray) -> Tensor:
        """Return the k highest candidates of every row: (b, d) float64 → (b, k). row, cell: as from `_candidates`."""
        count = np.bincount(row, minlength=len(x))
        place = row, np.arange(len(row)) - (count.cumsum() - count)[row]
        cells = np.zeros((len(x), max(self.k, count.max())), np.int64)
        scores = np.full(cells.shape, np.inf)
        cells[place] = cell
        parts = zip(*(torch.from_numpy(array).split(max(1, _AT_A_TIME // x.shape[1])) for array in (row, cell)), strict=True)
        pairs = ((x.index_select(0, r), self.codes.index_select(0, c).double(), self.heights[c]) for r, c in parts)
        exact = [at.mul_(code).sum(1) + height for at, code, height in pairs]
        scores[place] = -torch.cat(exact).numpy()
        return torch.from_numpy(np.take_along_axis(cells, np.argsort(scores, axis=1, kind="stable")[:, : self.k], axis=1))
