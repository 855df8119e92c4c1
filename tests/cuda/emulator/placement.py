"""Which devices meet in an operator. Those that CUDA's kernels refuse raise here, in the same words."""

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.record import RECORD, caller

_ACROSS = {"copy_", "_to_copy", "_foreach_copy_", "is_same_size", "set_"}
"""Operators whose tensors may be on different devices."""

_SCALARS = {"where", "lerp", "lerp_", "clamp", "fill_", "masked_fill", "masked_fill_", "index_put", "index_put_", "_index_put_impl_"}
"""Operators that are not tagged 'pointwise' and take a number from a 0-d tensor of the CPU."""

_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}


@dataclass(frozen=True)
class Meeting:
    """The tensors of a call. own: emulated ones. host: those of the CPU. devices: of the emulated ones."""

    own: list[Tensor]
    host: list[Tensor]
    devices: set[torch.device]


def require_one_device(operator: torch._ops.OpOverload, name: str, args: tuple, meeting: Meeting) -> None:
    """Raise RuntimeError where an operator mixes devices and may not."""
    if not meeting.own or operator.namespace == "c10d" or name in _ACROSS:
        return
    host = meeting.host
    if name in _INDEXING and args[0].device.type == "cuda":
        indices = {id(index) for index in args[1] if index is not None}
        host = [tensor for tensor in host if id(tensor) not in indices]  # the CPU's may index a tensor on the device
    pointwise = torch.Tag.pointwise in operator.tags or name.startswith("_foreach") or name in _SCALARS
    if pointwise and not _writes_to(operator, args, host):
        host = [tensor for tensor in host if tensor.ndim]
    devices = sorted(str(device) for device in meeting.devices | {tensor.device for tensor in host})
    if len(devices) > 1:
        RECORD.mixups[str(operator), caller()] += 1
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {devices[1]} and {devices[0]}! ({operator})"
        )


def _writes_to(operator: torch._ops.OpOverload, args: tuple, host: list[Tensor]) -> bool:
    """Return whether an operator in place changes a tensor of the CPU."""
    first = operator._schema.arguments[0].alias_info
    return first is not None and first.is_write and any(args[0] is tensor for tensor in host)
