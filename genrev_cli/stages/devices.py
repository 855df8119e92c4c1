"""From --device to a torch device."""

import torch

from genrev_cli.errors import UnavailableError, UsageError
from genrev_cli.training.distributed import local_device


def resolve_device(name: str) -> torch.device:
    """'auto' is CUDA where there is one and the CPU elsewhere; a device asked for by name never falls back.

    Raises UsageError for a name that is none, UnavailableError for a device that this machine lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(local_device(name))
    except RuntimeError as error:
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise UnavailableError(f"--device {name}: this machine has {count or 'no'} CUDA device{'s' * (count > 1)}; use --device cpu")
        torch.cuda.set_device(device)
    return device
