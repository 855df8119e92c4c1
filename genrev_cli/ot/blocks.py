"""Work on rows in blocks of one size, so that what is made of a row has the same bits in any batch."""

from collections.abc import Callable

import torch
from torch import Tensor

_ROWS = 512  # a block of tableaus fits the cache


def blockwise(make: Callable[..., tuple[Tensor, ...]], *rows: Tensor) -> tuple[Tensor, ...]:
    """make(rows) of tensors (B, …) in blocks of 512 rows, of which the last is filled up with zeros: → tensors (B, …).

    Products of another number of rows can be rounded differently, so that the number has to be the same.
    """
    n = len(rows[0])
    more = -n % _ROWS
    if more:
        rows = tuple(torch.cat([of, of.new_zeros(more, *of.shape[1:])]) for of in rows)
    made = [make(*parts) for parts in zip(*(of.split(_ROWS) for of in rows), strict=True)]
    return tuple(torch.cat(parts)[:n] if len(parts) > 1 else parts[0][:n] for parts in zip(*made, strict=True))


def picked(rows: Tensor, indices: Tensor) -> Tensor:
    """rows[indices] of rows (n, d), indices (B, k) → (B, k, d), which `index_select` copies several times as fast on the CPU."""
    return rows.index_select(0, indices.flatten()).unflatten(0, indices.shape)
