"""Measure how much memory a network keeps for its backward pass."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def saved_bytes(forward: Callable[[], Any], parameters: Iterable[Tensor]) -> int:
    """Return the bytes of the distinct storages that autograd saves while `forward` runs, without those of the parameters.

    Only autograd's saved tensors count, not what an operation keeps in another way, as memcnn does. The number is exact and equal on
    every device, including 'meta'.
    """
    own = {parameter.untyped_storage()._cdata for parameter in parameters}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()  # kept alive until the end, so that no other storage gets its address
        kept[storage._cdata] = storage

    def unpack(_: None) -> Tensor:
        raise RuntimeError("only the forward pass is run here")

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        result = forward()
    del result
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)
