"""Turn --device and --precision into a torch device, and tell what the machine can do."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from genrev_cli.errors import UnavailableError, UsageError
from genrev_cli.precision import allow_tf32, require_precision
from genrev_cli.training.distributed import local_device

_CPUINFO = Path("/proc/cpuinfo")
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


def resolve_device(name: str, precision: str = "fp32") -> torch.device:
    """Return the device of `--device`, on CUDA always with an index, and set the precision in which it computes.

    'auto' is CUDA if the machine has it, else the CPU; other names never fall back. 'cuda' is the current device of the process; under
    torchrun it is the device of the local rank.
    Raises UsageError for an unknown name, UnavailableError for a device or a precision that this machine lacks.
    """
    require_precision(precision)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(local_device(name))
    except RuntimeError as error:
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    device = _present(device, name) if device.type == "cuda" else torch.device("cpu")
    if precision == "tf32":
        _require_tf32(device)
    allow_tf32(precision == "tf32")
    return device


def _present(device: torch.device, name: str) -> torch.device:
    """Make a CUDA device the current one, and return it with its index. Raises UnavailableError when the machine lacks it."""
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        cure = "start one process for each" if count and name != str(device) else "use --device cpu"
        raise UnavailableError(f"--device {name}: this machine has {count or 'no'} CUDA device{'s' * (count > 1)}; {cure}")
    device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    torch.cuda.set_device(device)
    return device


def _require_tf32(device: torch.device) -> None:
    """Raise UnavailableError for a device without TF32."""
    if device.type != "cuda":
        raise UnavailableError(f"--precision tf32: only CUDA devices compute in TF32, and the device is {device}; use --precision fp32")
    major, minor = torch.cuda.get_device_capability(device)
    if major < 8:
        raise UnavailableError(
            f"--precision tf32: needs compute capability 8.0 or higher, and {device} has {major}.{minor}; use --precision fp32"
        )


def cpu() -> dict[str, Any]:
    """Return the name of the CPU, the number of cores that this process may use, and the instruction sets that matter for speed."""
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", fields.get("Features", "")).split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = fields.get("model name") or platform.processor() or platform.machine()
    return {"cpu": name, "cores": cores, "flags": [flag for flag in _TELLING_FLAGS if flag in flags]}


def has_bf16(device: torch.device) -> bool:
    """Return True if the device multiplies bf16 in hardware; otherwise bf16 is emulated, and slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu()["flags"]))
