"""Process rows in blocks of one size, so that the result of a row has the same bits in any batch."""

from collections.abc import Callable

import torch
from torch import Tensor

_ROWS = 512  # so many tableaus fit the cache


def blockwise(make: Callable[..., tuple[Tensor, ...]], *rows: Tensor, size: int = _ROWS) -> tuple[Tensor, ...]:
    """Return make(rows) of tensors (B, …), computed in blocks of `size` rows; zeros fill the last block: → tensors (B, …).

    The number of rows can change how a product is rounded, so it must always be the same.
    """
    n = len(rows[0])
    more = -n % size
    if more:
        rows = tuple(torch.cat([tensor, tensor.new_zeros(more, *tensor.shape[1:])]) for tensor in rows)
    made = [make(*parts) for parts in zip(*(tensor.split(size) for tensor in rows), strict=True)]
    return tuple(torch.cat(parts)[:n] if len(parts) > 1 else parts[0][:n] for parts in zip(*made, strict=True))


def picked(rows: Tensor, indices: Tensor) -> Tensor:
    """Return rows[indices]: rows (n, d), indices (B, k) → (B, k, d). `index_select` is several times as fast on the CPU."""
    return rows.index_select(0, indices.flatten()).unflatten(0, indices.shape)
