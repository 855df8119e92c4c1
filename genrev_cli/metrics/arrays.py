"""What every metric asks of the rows that it is given."""

from typing import TypeAlias

import numpy as np
from torch import Tensor

from genrev_cli.errors import DivergedError, UsageError

Rows: TypeAlias = np.ndarray | Tensor
"""(n, d) features or codes, one sample per row, any real type, on any device."""


def as_rows(rows: Rows, what: str = "features", *, first: int = 0) -> np.ndarray:
    """`rows` as (n, d) float64; `what` and the number `first` of the first row are for messages.

    Raises UsageError when there are not two axes, DivergedError when a value is NaN or infinite.
    """
    array = rows.detach().cpu().double().numpy() if isinstance(rows, Tensor) else np.asarray(rows, np.float64)
    if array.ndim != 2:
        raise UsageError(f"{what}: one row per sample is needed (n, d), not an array of shape {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise DivergedError(
            f"{what}: sample {first + bad[0]} has NaN or infinite values ({len(bad)} of {len(array)} samples looked at); mend what made it"
        )
    return array


def require_same_dims(first: int, second: int) -> None:
    """Raises UsageError when two sets have different numbers of dimensions."""
    if first != second:
        raise UsageError(f"the two sets have {first} and {second} dimensions; make both with the same extractor or model")
