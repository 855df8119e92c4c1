"""Many processes, started by torchrun; everything here is the identity in a single one.

Every rank draws the randomness of the *global* batch and keeps its own rows, so the result does not depend on how many there are.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from genrev_cli.errors import UsageError


def rank() -> int:
    """This process's number, 0 being the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    """Whether this is the process that writes; also known before and after they work together."""
    return os.environ.get("RANK", "0") == "0"


def size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started (NCCL on CUDA, gloo elsewhere); without torchrun, nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_device(device: str) -> str:
    """'cuda' as this process's own GPU, by torchrun's LOCAL_RANK."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device


def shard(rows: Tensor) -> Tensor:
    """This rank's rows of a global batch: r, r + size, r + 2·size, …

    Raises UsageError when they cannot be dealt out equally, because then the mean over ranks is not the mean over rows.
    """
    if len(rows) % size():
        raise UsageError(f"a batch of {len(rows)} cannot be split over {size()} processes; choose a multiple of {size()}")
    return rows[rank() :: size()]


def average(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The mean over ranks of each tensor, by one all-reduce of them all."""
    if size() == 1:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    parts = (flat / size()).split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def total(tensor: Tensor) -> Tensor:
    """The sum over ranks of a tensor, the same on each."""
    if size() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def largest(tensor: Tensor) -> Tensor:
    """The largest over ranks of each element, the same on each."""
    if size() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any rank."""
    if size() == 1:
        return flag
    votes = torch.tensor([float(flag)], device=device)
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return bool(votes.item())
