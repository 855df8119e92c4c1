"""One process of the check `nccl`: python -m genrev_cli.doctor.all_reduce BACKEND DEVICE RANK SIZE FILE SECONDS."""

import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist

from genrev_cli.bench.harness import synchronize

NUMBERS = 4_000_000
"""Number of float32 to sum; it takes a few milliseconds."""


def main(backend: str, device: str, rank: str, size: str, meeting: str, seconds: str) -> None:
    """Sum rank + 1 over all processes and print this process's GB/s. meeting: a file through which the processes find each other.

    Raises RuntimeError if the sum is wrong.
    """
    place, count = torch.device(device), int(size)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group(
        backend, init_method=f"file://{meeting}", rank=int(rank), world_size=count, timeout=timedelta(seconds=float(seconds))
    )
    try:
        for _ in range(2):  # the first run sets up the connections
            numbers = torch.full((NUMBERS,), float(rank) + 1, device=place)
            synchronize()
            began = time.perf_counter()
            dist.all_reduce(numbers)
            synchronize()
            taken = time.perf_counter() - began
    finally:
        dist.destroy_process_group()
    wanted = count * (count + 1) / 2
    if not torch.equal(numbers, torch.full_like(numbers, wanted)):
        raise RuntimeError(f"the sum is {numbers.mean().item():.4g} on average, but should be {wanted:g}")
    print(4 * NUMBERS / taken / 1e9)


if __name__ == "__main__":
    main(*sys.argv[1:])
