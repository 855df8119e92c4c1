"""Work split over processes that torchrun started. In a single process every function here is the identity.

Every rank draws the random numbers of the *global* batch and keeps its own rows, so the result does not depend on the number of ranks. A
loss that is not a mean over images, for example a distance between mini-batches, is computed from the rows of all ranks (`gathered`).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from genrev_cli.errors import GenrevError, ToldError, UsageError
from genrev_cli.invocation import many_processes
from genrev_cli.training.failures import first_words, meaning_of
from genrev_cli.training.peers import FAILED, LEFT, Judge, Watcher, longer_than, order_of_errors, wait_for_errors, waiting

Part = TypeVar("Part")

START_SECONDS = 60.0
"""Least time that processes get to find each other: they import torch at different speeds."""


def rank() -> int:
    """Return the number of this process; rank 0 writes files."""
    return dist.get_rank() if dist.is_initialized() and not _single.get() else 0


def size() -> int:
    """Return the number of processes that work together."""
    return dist.get_world_size() if dist.is_initialized() and not _single.get() else 1


_single: ContextVar[bool] = ContextVar("single", default=False)


@contextmanager
def as_single_process() -> Iterator[None]:
    """Count as a single process within the block, for work that one process does without the others."""
    token = _single.set(True)
    try:
        yield
    finally:
        _single.reset(token)


@contextmanager
def joined(patience: float, tell: Callable[[str], None]) -> Iterator[None]:
    """Join the processes that torchrun started: by NCCL between GPUs, by gloo between CPUs. Without torchrun, do nothing.

    patience: seconds that this process waits for the others. They may be busy, for example when rank 0 writes or draws. After that time
    `tell` gets a sentence and the process ends, whatever it waits for (see `peers`).
    When several processes fail, only the first error is shown, by its own process; the others raise a ToldError with their exit code.
    """
    if not many_processes():
        yield
        return
    store, watcher = _meet(patience, tell)
    last = FAILED
    try:
        yield
        last = LEFT
    except Exception as error:
        watcher.stop(FAILED)
        order = order_of_errors(store)
        if not torch.cuda.is_available():  # to end NCCL takes all processes, and one may be waiting for something else
            dist.destroy_process_group()
        if watcher.judge.keeps_store:
            wait_for_errors(store, watcher.judge.size)
        if order > 1 and isinstance(error, GenrevError):
            raise ToldError(error) from error
        raise
    finally:
        watcher.stop(last)
    dist.destroy_process_group()


def _meet(patience: float, tell: Callable[[str], None]) -> tuple[dist.Store, Watcher]:
    """Find the other processes and start to watch them. Raises UsageError when they do not find each other."""
    watcher = None
    try:
        store, number, count = next(rendezvous("env://", timeout=timedelta(seconds=max(patience, START_SECONDS))))
        agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # True: torchrun keeps the store; else rank 0 does
        watcher = Watcher(store, Judge(rank=number, size=count, patience=patience, agent=agent), tell)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        limit = timedelta(seconds=longer_than(patience))
        with waiting():
            watcher.start()
            dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=limit)
    except (RuntimeError, ValueError) as error:
        if watcher:
            watcher.stop(FAILED)
        raise UsageError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the processes do not find each other ({first_words(str(error))}); "
            "start them by torchrun, or unset WORLD_SIZE"
        ) from error
    return store, watcher


@contextmanager
def explained() -> Iterator[None]:
    """Replace errors of the communication between processes by ones that explain them; see `meaning_of`."""
    try:
        yield
    except RuntimeError as error:  # the type that gloo and NCCL raise
        meaning = meaning_of(error, rank(), size()) if size() > 1 else error
        if meaning is error:
            raise
        raise meaning from error


@contextmanager
def together() -> Iterator[None]:
    """Mark a block in which this rank waits for all others. Raises LostProcessError when one of them is gone, and like `explained`."""
    with explained(), nullcontext() if torch.compiler.is_compiling() else waiting():  # a compiled graph cannot set the mark
        yield


def local_device(device: str) -> str:
    """Return the name of a device; 'cuda' becomes the GPU of torchrun's LOCAL_RANK. Raises UsageError if processes would share a GPU."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.startswith("cuda:") and here > 1:
        raise UsageError(f"--device {device}: each of the {here} processes needs its own GPU; use --device cuda")
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device


def shard(rows: Tensor) -> Tensor:
    """Return this rank's rows of a global batch: r, r + size, r + 2·size, …

    Raises UsageError when ranks would get different numbers of rows, because then the mean over ranks is not the mean over rows.
    """
    if len(rows) % size():
        raise UsageError(f"a batch of {len(rows)} cannot be split over {size()} processes; choose a multiple of {size()}")
    return rows[rank() :: size()]


def average(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean over ranks of each tensor, by one all-reduce."""
    if size() == 1:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with together():
        dist.all_reduce(flat)
    parts = (flat / size()).split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def total(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over ranks, equal on all of them."""
    return _reduced(tensor, dist.ReduceOp.SUM)


def largest(tensor: Tensor) -> Tensor:
    """Return the largest value over ranks of each element, equal on all of them."""
    return _reduced(tensor, dist.ReduceOp.MAX)


def _reduced(tensor: Tensor, how: dist.ReduceOp.RedOpType) -> Tensor:
    if size() > 1:
        tensor = tensor.clone()
        with together():
            dist.all_reduce(tensor, op=how)
    return tensor


class _Total(torch.autograd.Function):
    """`total` with a gradient: the sum over ranks of the gradients of their losses with respect to the sum."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, tensor: Tensor) -> Tensor:
        return total(tensor)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        return _Total.apply(gradient)


def mean(tensor: Tensor) -> Tensor:
    """Return the differentiable mean of a tensor over ranks, for statistics of the whole batch.

    Gradients are those of the mean of the losses over ranks; `average` of gradients completes them.
    """
    return _Total.apply(tensor) / size() if size() > 1 else tensor


def gathered(rows: Tensor) -> Tensor:
    """Return the global batch from the `shard` of each rank, in order: (B, …) → (size · B, …), differentiable like `mean`."""
    if size() == 1:
        return rows
    whole = rows.new_zeros(len(rows) * size(), *rows.shape[1:])
    whole[rank() :: size()] = rows
    return _Total.apply(whole)


def any_rank(flag: bool) -> bool:
    """Return True if the flag is set on any rank. CPUs exchange it, so no GPU waits."""
    return bool(largest(torch.tensor(float(flag))))


def deals(number: int) -> bool:
    """Return True if this rank makes part `number` of what is `dealt`."""
    return number % size() == rank()


def dealt(parts: Sequence[Part], make: Callable[[Part], Tensor]) -> Iterator[Tensor]:
    """Yield make(part) of every part, in order and on every rank; each part is made by one rank.

    make: → (n, …), where n may differ between parts. An error of one rank's `make` is raised on all ranks.
    """
    for start in range(0, len(parts), size()):
        mine = min(start + rank(), len(parts) - 1)  # a rank without a part in the last round makes the last part too
        if size() == 1:
            yield make(parts[mine])
        else:
            yield from _exchanged(partial(make, parts[mine]))[: len(parts) - start]


def _exchanged(make: Callable[[], Tensor]) -> list[Tensor]:
    """Return the tensors of all ranks, which may differ in length."""
    failed: GenrevError | None = None
    try:
        own = make()
    except GenrevError as error:
        own, failed = torch.empty(0), error
    found: list[tuple[int, GenrevError | None]] = [(0, None)] * size()
    with together():
        dist.all_gather_object(found, (len(own), failed))
    for _, raised in found:
        if raised:
            raise raised
    longest = max(length for length, _ in found)
    room = own.new_zeros(longest, *own.shape[1:])
    room[: len(own)] = own
    every = [torch.empty_like(room) for _ in found]
    with together():
        dist.all_gather(every, room)
    return [tensor[:length] for tensor, (length, _) in zip(every, found, strict=True)]


def follow(made: Iterable[Tensor]) -> None:
    """Take part in the work that is `dealt`, on the ranks beside rank 0, which uses the results."""
    for _ in made:
        continue


def wait() -> None:
    """Wait until all ranks have come to this point."""
    any_rank(False)
