"""Mean and standard deviation of columns, in one pass over rows that arrive in batches."""

from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor


@final
class Moments:
    """Moments of all rows added so far, in float64. The first row is subtracted, so that a large mean costs no digits."""

    _shift: Tensor
    _total: Tensor
    _squares: Tensor

    def __init__(self) -> None:
        self.count = 0

    @classmethod
    def of(cls, batches: Iterable[Tensor]) -> "Moments":
        """Return the moments of all rows of batches (B, D)."""
        moments = cls()
        for batch in batches:
            moments.add(batch)
        return moments

    def add(self, rows: Tensor) -> None:
        """Add rows (B, D); B may be 0."""
        if not len(rows):
            return
        rows = rows.double()
        if not self.count:
            self._shift, self._total, self._squares = rows[0], torch.zeros_like(rows[0]), torch.zeros_like(rows[0])
        rows = rows - self._shift
        self.count += len(rows)
        self._total = self._total + rows.sum(0)
        self._squares = self._squares + rows.square().sum(0)

    @property
    def mean(self) -> Tensor:
        """Mean of each column, (D,)."""
        return self._shift + self._total / self.count

    @property
    def std(self) -> Tensor:
        """Standard deviation of each column with count − 1, (D,); 0 for a single row."""
        return ((self._squares - self._total.square() / self.count) / max(self.count - 1, 1)).clamp_min(0).sqrt()
