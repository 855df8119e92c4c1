"""Checks of the arrays that metrics take."""

from typing import TypeAlias

import numpy as np
from torch import Tensor

from genrev_cli.errors import DivergedError, UsageError

Rows: TypeAlias = np.ndarray | Tensor
"""(n, d) features or codes, one sample per row, any real type, on any device."""


def as_rows(rows: Rows, what: str = "features", *, first: int = 0) -> np.ndarray:
    """Convert `rows` to an (n, d) float64 array. Messages use `what`, and `first` as the number of the first row.

    Raises UsageError if there are not two axes, DivergedError if a value is NaN or infinite.
    """
    array = rows.detach().cpu().double().numpy() if isinstance(rows, Tensor) else np.asarray(rows, np.float64)
    if array.ndim != 2:
        raise UsageError(f"{what}: an array (n, d) with one row per sample is needed, not one of shape {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise DivergedError(
            f"{what}: sample {first + bad[0]} has NaN or infinite values ({len(bad)} of {len(array)} samples have); compute them again"
        )
    return array


def require_same_dims(first: int, second: int) -> None:
    """Raise UsageError if two sets have different numbers of dimensions."""
    if first != second:
        raise UsageError(f"the two sets have {first} and {second} dimensions; make both with the same extractor or model")
