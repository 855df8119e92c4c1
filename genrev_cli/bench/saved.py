"""How much a network keeps for its backward pass."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def saved_bytes(forward: Callable[[], Any], parameters: Iterable[Tensor]) -> int:
    """Bytes of the distinct storages that autograd saves while `forward` runs; those of the parameters are not counted.

    It counts what goes through autograd's saved tensors, and nothing that an operation holds in another way (memcnn's does). It is exact,
    and on every device the same, 'meta' included.
    """
    own = {parameter.untyped_storage()._cdata for parameter in parameters}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()  # held until the end, so that its address is given to no other
        kept[storage._cdata] = storage

    def unpack(_: None) -> Tensor:
        raise RuntimeError("only the forward pass is run here")

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        result = forward()
    del result
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)
