"""The conditions of a measurement: what the machine is, and how many threads work."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info, threadpool_limits

_CPUINFO = Path("/proc/cpuinfo")
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
_VERSIONS = ("genrev-cli", "torch", "numpy", "scipy", "pytorch-fid")


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


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Within the block PyTorch, NumPy and SciPy use n threads; 0 leaves each as it is."""
    before = torch.get_num_threads()
    with threadpool_limits(n or None):
        torch.set_num_threads(n or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def conditions(device: torch.device) -> dict[str, Any]:
    """What has to stand beside a measured time: machine, load, threads of every library, versions."""
    versions = {name: metadata.version(name) for name in _VERSIONS if any(metadata.distributions(name=name))}
    accelerator = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    pools = {f"{pool['internal_api']} {pool['version'] or ''}".strip(): pool["num_threads"] for pool in threadpool_info()}
    used = {"torch": torch.get_num_threads(), **pools}
    load = {"load": round(os.getloadavg()[0], 2)} if hasattr(os, "getloadavg") else {}
    return {**cpu(), **accelerator, "threads": used, **load, "device": str(device), "versions": versions}
