"""Gradients averaged over processes in buckets, while the backward pass makes the others (Li et al. 2020, arXiv:2006.15704, section 3.2).

torch's own DistributedDataParallel does this for `loss.backward()`, one model and one loss per step. Here gradients come from
`torch.autograd.grad`, which takes those of an optimizer's own parameters and no others, for several losses over one graph; and buckets
stay as they are from step to step, so that a run that was resumed adds in the order of one that was not.
"""

from collections.abc import Sequence
from functools import partial
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genrev_cli.shapes import Scalar
from genrev_cli.training.distributed import size, together

FIRST_BYTES, BYTES = 1 << 20, 25 << 20
"""Size of the first bucket, small so that sending begins early, and of the others: those of Li et al."""


@final
class Gradients:
    """The gradients of one loss with respect to some parameters, taken at once; `wait` gives their means over the processes.

    The loss must depend on every parameter. retain_graph: another loss goes back through the same graph.
    """

    def __init__(self, loss: Scalar, parameters: Sequence[nn.Parameter], retain_graph: bool = False) -> None:
        self._buckets: list[_Bucket] = []
        self._sent = 0
        handles = self._listen(parameters) if size() > 1 else []
        try:
            self._gradients = torch.autograd.grad(loss, parameters, retain_graph=retain_graph)
        finally:
            for handle in handles:
                handle.remove()

    def wait(self) -> list[Tensor]:
        """Return the mean over ranks of each gradient, as large as its parameter; the same to the bit on every rank."""
        for bucket in self._buckets:
            bucket.finish()
        return list(self._gradients)

    def _listen(self, parameters: Sequence[nn.Parameter]) -> list[torch.utils.hooks.RemovableHandle]:
        """Have every gradient written into its bucket as soon as autograd has it, and given on from there."""
        handles = []
        for parameter in reversed(parameters):  # about the order in which gradients come
            last = self._buckets[-1] if self._buckets else None
            if last is None or not last.takes(parameter):
                last = _Bucket(parameter, BYTES if self._buckets else FIRST_BYTES)
                self._buckets.append(last)
            place = last.add(parameter)
            handles.append(parameter.register_hook(partial(self._take, last, place)))
        return handles

    def _take(self, bucket: "_Bucket", place: int, gradient: Tensor) -> Tensor:
        """Keep a gradient; send every bucket that is full, in the order of the buckets, which is the same on all ranks."""
        kept = bucket.put(place, gradient)
        while self._sent < len(self._buckets) and self._buckets[self._sent].full:
            self._buckets[self._sent].send()
            self._sent += 1
        return kept


@final
class _Bucket:
    """Gradients that are sent together: those of parameters of one kind, in one buffer. room: bytes."""

    def __init__(self, first: nn.Parameter, room: int) -> None:
        self._kind, self._room = (first.dtype, first.device), room
        self._parameters: list[nn.Parameter] = []
        self._ends = [0]
        self._parts: list[Tensor] = []
        self._buffer = first.new_empty(0)
        self._missing = 0
        self._work: dist.Work | None = None

    def takes(self, parameter: nn.Parameter) -> bool:
        """Tell whether there is room for another parameter's gradient, of the same kind."""
        bytes_then = (self._ends[-1] + parameter.numel()) * parameter.element_size()
        return (parameter.dtype, parameter.device) == self._kind and bytes_then <= self._room

    def add(self, parameter: nn.Parameter) -> int:
        """Return the place of its gradient."""
        self._parameters.append(parameter)
        self._ends.append(self._ends[-1] + parameter.numel())
        self._missing += 1
        return len(self._parameters) - 1

    def put(self, place: int, gradient: Tensor) -> Tensor:
        """Return the gradient's copy in the buffer, which is there from the first one on."""
        if not self._parts:
            dtype, device = self._kind
            self._buffer = torch.empty(self._ends[-1], dtype=dtype, device=device)
            numbers = [parameter.numel() for parameter in self._parameters]
            self._parts = [_laid_out(part, like) for part, like in zip(self._buffer.split(numbers), self._parameters, strict=True)]
        self._missing -= 1
        return self._parts[place].copy_(gradient)

    @property
    def full(self) -> bool:
        return self._missing == 0

    def send(self) -> None:
        """Begin to add the buffers of all ranks."""
        with together():
            self._work = dist.all_reduce(self._buffer, async_op=True)

    def finish(self) -> None:
        """Make the mean of the sum."""
        assert self._work is not None  # every gradient has come, or autograd would have raised
        with together():
            self._work.wait()
        self._buffer /= size()


def _laid_out(part: Tensor, like: Tensor) -> Tensor:
    """Return a part of a buffer as a tensor in the shape and memory order of another one."""
    if like.is_contiguous() or not like.is_contiguous(memory_format=torch.channels_last):
        return part.view(like.shape)
    return part.as_strided(like.shape, like.stride())
