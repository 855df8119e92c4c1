"""Copy tensors between the CPU and a GPU with as few waits of the host as possible."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor from the CPU, of any shape, on `device`.

    It goes to a GPU from pinned memory, without a wait; from other memory the host would wait for the copy.
    """
    if device.type != "cuda":
        return tensor.to(device)
    pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
    return pinned.to(device, non_blocking=True)


def to_host(*tensors: Tensor) -> list[Tensor]:
    """Return tensors of one device, of any shapes, on the CPU. The host waits for a GPU only once."""
    copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]  # into pinned memory
    if (device := tensors[0].device).type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    return copies
