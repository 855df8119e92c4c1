"""Describe the machine for the head of the report."""

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import torch

import genrev_cli
from genrev_cli.doctor.privacy import cleaned, value_of
from genrev_cli.doctor.subject import Subject
from genrev_cli.files.header import provenance
from genrev_cli.scoring.features import cache_folder
from genrev_cli.training.devices import cpu

VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "OMP_NUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_LAUNCH_BLOCKING",
    "WORLD_SIZE",
)
"""Environment variables that change results, speed or devices. Those that start with GENREV_ are shown too."""

_MEMORY = Path("/proc/meminfo")
_DRIVER = Path("/proc/driver/nvidia/version")


def switches() -> dict[str, Any]:
    """Return the current state of torch's switches that decide what fp32 means on a GPU."""
    return {
        "convolutions": torch.backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]  # torch sets it at run time
        "matmul": torch.backends.cuda.matmul.fp32_precision,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def described_machine(subject: Subject, precision: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what a bug report needs to know about a machine, without home folders, host names or secrets.

    precision: when the switches were read → the switches.
    """
    folders = {"current folder": Path.cwd(), "cache folder": cache_folder()}
    return {
        "versions": versions(),
        "cuda_devices": devices(),
        "cpu": {**cpu(), "threads": torch.get_num_threads(), **load()},
        "memory_gb": memory(),
        "free_disk_gb": {name: free_disk(folder) for name, folder in folders.items()},
        "precision": precision,
        "environment": environment(),
        "examined": {"device": str(subject.device), "network": subject.name, "batch": subject.batch},
    }


def versions() -> dict[str, str]:
    """Return the versions of genrev, libraries and drivers; what is not installed is left out."""
    made = provenance(seconds=0.0)
    git = f" (git {made['git']})" if made["git"] else ""
    named = {name: text for name, text in made["versions"].items() if name in ("python", "torch", "numpy", "h5py")}
    nccl = torch.distributed.is_available() and torch.distributed.is_nccl_available()
    libraries = {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if nccl else None,
        "driver": _driver(),
        "os": made["machine"],
    }
    return {
        "genrev": genrev_cli.__version__ + git,
        **named,
        **{name: _hostless(str(text)) for name, text in libraries.items() if text},
    }


def _hostless(text: str) -> str:
    """Return the text with this machine's name replaced by HOST."""
    host = socket.gethostname()
    return text.replace(host, "HOST") if len(host) > 3 else text


def _driver() -> str:
    """Return the version of NVIDIA's kernel module, '' if there is none."""
    if not _DRIVER.is_file():
        return ""
    words = _DRIVER.read_text(encoding="utf-8", errors="replace").splitlines()[0].split()
    return next((word for word in words if word[0].isdigit()), " ".join(words))


def devices() -> list[dict[str, Any]]:
    """Return name, compute capability and memory of every visible CUDA device."""
    return [_device(number) for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []


def _device(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"device": f"cuda:{number}"}
    try:
        about = torch.cuda.get_device_properties(number)
        found |= {"name": about.name, "capability": f"{about.major}.{about.minor}", "memory_gb": round(about.total_memory / 1e9, 1)}
        return {**found, "free_gb": round(torch.cuda.mem_get_info(number)[0] / 1e9, 1)}
    except RuntimeError as error:  # the driver is too old, or another program uses the device exclusively
        return {**found, "error": cleaned(str(error).partition("\n")[0])}


def load() -> dict[str, float]:
    """Return the average load of the last minute, if the system reports it. With a load above the number of cores, speeds mean little."""
    return {"load": round(os.getloadavg()[0], 1)} if hasattr(os, "getloadavg") else {}


def memory() -> dict[str, float]:
    """Return total and available memory in GB (10⁹ bytes), as far as the system reports them."""
    if _MEMORY.is_file():
        lines = dict(line.split(":", 1) for line in _MEMORY.read_text(encoding="utf-8").splitlines() if ":" in line)
        named = {"total": "MemTotal", "available": "MemAvailable"}
        return {name: round(int(lines[key].split()[0]) * 1024 / 1e9, 1) for name, key in named.items() if key in lines}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return {"total": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)}
    return {}


def free_disk(folder: Path) -> float | None:
    """Return the free space in GB on the disk of a folder, which need not exist yet; None if the system does not report it."""
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    try:
        return round(shutil.disk_usage(there).free / 1e9, 1) if there else None
    except OSError:
        return None


def environment() -> dict[str, str]:
    """Return the relevant environment variables that are set, without secrets and home folders."""
    names = [name for name in (*VARIABLES, *sorted(os.environ)) if name in os.environ and (name in VARIABLES or name.startswith("GENREV_"))]
    return {name: value_of(name, os.environ[name]) for name in dict.fromkeys(names)}
