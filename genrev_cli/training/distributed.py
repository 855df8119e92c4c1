"""Many processes, started by torchrun; everything here is the identity in a single one.

Every rank draws the randomness of the *global* batch and keeps its own rows, so the result does not depend on how many there are. A loss
that is no mean over images, a distance of mini-batches say, is taken of all ranks' rows (`gathered`).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from genrev_cli.errors import GenrevError, ToldError, UsageError
from genrev_cli.invocation import many_processes
from genrev_cli.training.failures import meaning_of
from genrev_cli.training.peers import FAILED, LEFT, Judge, Watcher, longer_than, order_of_errors, wait_for_errors, waiting

Part = TypeVar("Part")

START_SECONDS = 60.0
"""How long processes may take to find each other at least: they import torch at different speeds."""


def rank() -> int:
    """This process's number, 0 being the one that writes."""
    return dist.get_rank() if dist.is_initialized() and not _alone.get() else 0


def size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() and not _alone.get() else 1


_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Count as a single process within the block: for what one does while the others wait."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def joined(patience: float, tell: Callable[[str], None]) -> Iterator[None]:
    """Join the processes that torchrun started, NCCL between GPUs and gloo between CPUs; without torchrun, nothing.

    patience: seconds that this process waits for the others, which may be busy: the first one writes and draws alone. When they are
    over, `tell` gets a sentence and the process ends, whatever it waits for (see `peers`).
    Of the errors that end a run the first one is told, by its process; from the others comes a ToldError with their exit code.
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
        if not torch.cuda.is_available():  # NCCL's end needs all processes, and one may be waiting for something else
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
    """Find the other processes and begin to watch them. Raises UsageError when they do not find each other."""
    watcher = None
    try:
        store, number, count = next(rendezvous("env://", timeout=timedelta(seconds=max(patience, START_SECONDS))))
        agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun keeps the store, else the first process does
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
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the processes do not find each other ({error}); "
            "start them by torchrun, or unset it"
        ) from error
    return store, watcher


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error of the communication between processes into the one that says what it means: see `meaning_of`."""
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's own kind
        meaning = meaning_of(error, rank(), size()) if size() > 1 else error
        if meaning is error:
            raise
        raise meaning from error


@contextmanager
def together() -> Iterator[None]:
    """Mark a block that needs all ranks as a wait. Raises LostProcessError when one of them is gone, and like `explained`."""
    with explained(), nullcontext() if torch.compiler.is_compiling() else waiting():  # a compiled graph could not set the mark
        yield


def local_device(device: str) -> str:
    """'cuda' as this process's own GPU, by torchrun's LOCAL_RANK. Raises UsageError where a machine's processes are to share one."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.startswith("cuda:") and here > 1:
        raise UsageError(f"--device {device}: each of {here} processes takes a GPU of its own; use --device cuda")
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
    with together():
        dist.all_reduce(flat)
    parts = (flat / size()).split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def total(tensor: Tensor) -> Tensor:
    """The sum over ranks of a tensor, the same on each."""
    return _reduced(tensor, dist.ReduceOp.SUM)


def largest(tensor: Tensor) -> Tensor:
    """The largest over ranks of each element, the same on each."""
    return _reduced(tensor, dist.ReduceOp.MAX)


def _reduced(tensor: Tensor, how: dist.ReduceOp) -> Tensor:
    if size() > 1:
        tensor = tensor.clone()
        with together():
            dist.all_reduce(tensor, op=how)
    return tensor


class _Total(torch.autograd.Function):
    """`total`, through which gradients pass: what each rank's loss makes of the sum comes back to every rank."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, tensor: Tensor) -> Tensor:
        return total(tensor)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        return _Total.apply(gradient)


def mean(tensor: Tensor) -> Tensor:
    """The mean over ranks of a tensor, differentiable: for what all of a batch decides and no row alone.

    Gradients are those of the mean over ranks of the losses, as `average` takes it of their gradients.
    """
    return _Total.apply(tensor) / size() if size() > 1 else tensor


def gathered(rows: Tensor) -> Tensor:
    """The global batch of which each rank has its `shard`, (B, …) → (size · B, …) in its order, differentiable like `mean`."""
    if size() == 1:
        return rows
    whole = rows.new_zeros(len(rows) * size(), *rows.shape[1:])
    whole[rank() :: size()] = rows
    return _Total.apply(whole)


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on any rank. It passes between the CPUs: no GPU waits."""
    return bool(largest(torch.tensor(float(flag))))


def deals(number: int) -> bool:
    """Whether of what is `dealt` part `number` is this rank's."""
    return number % size() == rank()


def dealt(parts: Sequence[Part], make: Callable[[Part], Tensor]) -> Iterator[Tensor]:
    """make(part) of every part, in order and on every rank; each is made by one of them.

    make: → (n, …), where n may differ between parts. Raises what one rank's `make` raises on all of them.
    """
    for start in range(0, len(parts), size()):
        mine = min(start + rank(), len(parts) - 1)  # who has none in the last round makes its last part too
        if size() == 1:
            yield make(parts[mine])
        else:
            yield from _exchanged(lambda part=parts[mine]: make(part))[: len(parts) - start]


def _exchanged(make: Callable[[], Tensor]) -> list[Tensor]:
    """Every rank's tensor; they may differ in length."""
    failed: GenrevError | None = None
    try:
        own = make()
    except GenrevError as error:
        own, failed = torch.empty(0), error
    found: list[tuple[int, GenrevError | None]] = [(0, None)] * size()
    with together():
        dist.all_gather_object(found, (len(own), failed))
    for _, error in found:
        if error:
            raise error
    longest = max(length for length, _ in found)
    room = own.new_zeros(longest, *own.shape[1:])
    room[: len(own)] = own
    every = [torch.empty_like(room) for _ in found]
    with together():
        dist.all_gather(every, room)
    return [tensor[:length] for tensor, (length, _) in zip(every, found, strict=True)]


def follow(made: Iterable[Tensor]) -> None:
    """Have a part in what is `dealt` and leave what becomes of it to the first process."""
    for _ in made:
        continue


def wait() -> None:
    """Until all ranks are here."""
    any_rank(False)
