"""Conditions of a measurement: the machine and the number of threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from genrev_cli.training.devices import cpu

_VERSIONS = ("genrev-cli", "torch", "torchvision", "numpy", "scipy", "pytorch-fid", "POT", "lapx", "FrEIA", "memcnn", "ott-jax", "jax")


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let PyTorch, NumPy and SciPy use n threads within the block; 0 changes nothing."""
    before = torch.get_num_threads()
    with threadpool_limits(n or None):
        torch.set_num_threads(n or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def conditions(device: torch.device) -> dict[str, Any]:
    """Return the conditions to record with a measured time: machine, load, threads of every library, versions."""
    versions = {name: metadata.version(name) for name in _VERSIONS if any(metadata.distributions(name=name))}
    accelerator = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    pools = {f"{pool['internal_api']} {pool['version'] or ''}".strip(): pool["num_threads"] for pool in threadpool_info()}
    used = {"torch": torch.get_num_threads(), **pools}
    load = {"load": round(os.getloadavg()[0], 2)} if hasattr(os, "getloadavg") else {}
    malloc = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
    allocator = {"malloc": malloc} if malloc else {}  # an allocator that returns memory to the system must ask for it again in every step
    return {**cpu(), **accelerator, "threads": used, **allocator, **load, "device": str(device), "versions": versions}
