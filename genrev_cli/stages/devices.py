"""From --device to a torch device, and what the machine can do."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from genrev_cli.errors import UnavailableError, UsageError
from genrev_cli.training.distributed import local_device

_CPUINFO = Path("/proc/cpuinfo")
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


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


def cpu() -> dict[str, Any]:
    """Name, cores that this process may use, and the instruction sets that decide these measurements."""
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", fields.get("Features", "")).split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = fields.get("model name") or platform.processor() or platform.machine()
    return {"cpu": name, "cores": cores, "flags": [flag for flag in _TELLING_FLAGS if flag in flags]}


def has_bf16(device: torch.device) -> bool:
    """Does the device multiply bf16 in hardware? Elsewhere it is emulated, and slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu()["flags"]))
