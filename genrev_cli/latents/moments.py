"""Mean and standard deviation of columns, in one pass over rows that come in batches."""

from collections.abc import Iterable
from typing import final

from torch import Tensor


@final
class Moments:
    """Of all rows added so far; in float64. Sums of squares are taken about the first row, so that a large mean costs no digits."""

    def __init__(self) -> None:
        self.count = 0

    @classmethod
    def of(cls, batches: Iterable[Tensor]) -> "Moments":
        """Of all rows of (B, D) batches."""
        moments = cls()
        for batch in batches:
            moments.add(batch)
        return moments

    def add(self, rows: Tensor) -> None:
        """Rows (B, D); none is fine too."""
        if not len(rows):
            return
        rows = rows.double()
        if not self.count:
            self._shift, self._total, self._squares = rows[0], 0.0, 0.0
        rows = rows - self._shift
        self.count += len(rows)
        self._total = self._total + rows.sum(0)
        self._squares = self._squares + rows.square().sum(0)

    @property
    def mean(self) -> Tensor:
        """(D,)"""
        return self._shift + self._total / self.count

    @property
    def std(self) -> Tensor:
        """(D,), with count − 1; 0 of a single row."""
        return ((self._squares - self._total.square() / self.count) / max(self.count - 1, 1)).clamp_min(0).sqrt()
