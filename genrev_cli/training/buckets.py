"""Average gradients over processes in buckets, while the backward pass still runs (Li et al. 2020, arXiv:2006.15704, section 3.2).

torch's DistributedDataParallel does this for `loss.backward()`, with one model and one loss per step. Here gradients come from
`torch.autograd.grad`: each of several losses over one graph gets the gradients of its own optimizer's parameters only. Buckets stay the
same in all steps, so a resumed run adds in the same order as one that was not interrupted.
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
"""Sizes of the first bucket, small so that sending begins early, and of the others; those of Li et al."""


@final
class Gradients:
    """The gradients of one loss with respect to some parameters. They are computed at once; `wait` returns their means over processes.

    The loss must depend on every parameter. retain_graph: keep the graph for the backward pass of another loss.
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
        """Return the mean over ranks of each gradient, in the shape of its parameter; bitwise equal on all ranks."""
        for bucket in self._buckets:
            bucket.finish()
        return list(self._gradients)

    def _listen(self, parameters: Sequence[nn.Parameter]) -> list[torch.utils.hooks.RemovableHandle]:
        """Register hooks that copy each gradient into its bucket as soon as autograd has computed it."""
        handles = []
        for parameter in reversed(parameters):  # about the order in which gradients are computed
            last = self._buckets[-1] if self._buckets else None
            if last is None or not last.takes(parameter):
                last = _Bucket(parameter, BYTES if self._buckets else FIRST_BYTES)
                self._buckets.append(last)
            place = last.add(parameter)
            handles.append(parameter.register_hook(partial(self._take, last, place)))
        return handles

    def _take(self, bucket: "_Bucket", place: int, gradient: Tensor) -> Tensor:
        """Store a gradient, and send the buckets that are full, in an order that is the same on all ranks."""
        kept = bucket.put(place, gradient)
        while self._sent < len(self._buckets) and self._buckets[self._sent].full:
            self._buckets[self._sent].send()
            self._sent += 1
        return kept


@final
class _Bucket:
    """Gradients that are sent together, in one buffer. Their parameters share a type and a device. room: bytes."""

    def __init__(self, first: nn.Parameter, room: int) -> None:
        self._kind, self._room = (first.dtype, first.device), room
        self._parameters: list[nn.Parameter] = []
        self._ends = [0]
        self._parts: list[Tensor] = []
        self._buffer = first.new_empty(0)
        self._missing = 0
        self._work: dist.Work | None = None

    def takes(self, parameter: nn.Parameter) -> bool:
        """Return True if another parameter's gradient fits in, and has the same type and device."""
        bytes_then = (self._ends[-1] + parameter.numel()) * parameter.element_size()
        return (parameter.dtype, parameter.device) == self._kind and bytes_then <= self._room

    def add(self, parameter: nn.Parameter) -> int:
        """Make room for the gradient of a parameter, and return its place."""
        self._parameters.append(parameter)
        self._ends.append(self._ends[-1] + parameter.numel())
        self._missing += 1
        return len(self._parameters) - 1

    def put(self, place: int, gradient: Tensor) -> Tensor:
        """Copy a gradient into the buffer, and return the copy. The first call allocates the buffer."""
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
        """Start to add the buffers of all ranks."""
        with together():
            self._work = dist.all_reduce(self._buffer, async_op=True)

    def finish(self) -> None:
        """Wait for the sum, and divide it by the number of ranks."""
        assert self._work is not None  # every gradient has come, or autograd would have raised
        with together():
            self._work.wait()
        self._buffer /= size()


def _laid_out(part: Tensor, like: Tensor) -> Tensor:
    """Return a view of a part of the buffer with the shape and memory order of `like`."""
    if like.is_contiguous() or not like.is_contiguous(memory_format=torch.channels_last):
        return part.view(like.shape)
    return part.as_strided(like.shape, like.stride())
