"""Copies between the CPU and a GPU that the host does not wait for."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU, any shape, on `device`.

    A GPU copies it from pinned memory when it gets there; from any other memory the host would wait for the copy.
    """
    if device.type != "cuda":
        return tensor.to(device)
    pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
    return pinned.to(device, non_blocking=True)


def to_host(*tensors: Tensor) -> list[Tensor]:
    """Return tensors of one device, any shapes, on the CPU. The host waits for a GPU once, for all of them together."""
    copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]  # into pinned memory
    if (device := tensors[0].device).type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    return copies
