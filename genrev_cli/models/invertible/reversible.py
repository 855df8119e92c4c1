"""Memory-saving back-propagation (Gomez et al. 2017, Algorithm 1): the backward pass recomputes inputs from outputs, step by step.

The memory it keeps does not grow with depth. Every step is its own node in autograd's graph and has its parameters among its inputs. So
`torch.autograd.grad`, hooks and averaging over processes work as for any network, and the gradients of one step are handed on before
those of the next step exist. Only the last node keeps streams.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import final

import torch
from torch import Tensor
from torch.amp import is_autocast_available
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from genrev_cli.models.invertible.layer import Step, Streams, zeros
from genrev_cli.models.invertible.watch import Largest


@final
class Tape:
    """The state that the nodes of one call share during the backward pass: the streams recomputed so far.

    origin: returns the inputs of the first step again. roundtrip: records how far the recomputed inputs are from these.
    """

    def __init__(self, origin: Callable[[], Streams], roundtrip: Largest) -> None:
        self.streams: Streams | None = None
        self.origin = origin
        self.roundtrip = roundtrip

    def close(self, streams: Streams) -> None:
        """Compare the recomputed inputs of the first step with the real ones, and release the streams."""
        for found, real in zip(streams, self.origin(), strict=True):
            self.roundtrip.see(found - real)
        self.streams = None


def run_reversible(
    steps: Sequence[Step], origin: Callable[[], Streams], log_det: bool, roundtrip: Largest
) -> tuple[Streams, Tensor | None]:
    """Run the steps on the streams that `origin` returns; return log |det| (B,) too if asked for.

    Values equal those of `run`; gradients equal them up to rounding. The backward pass calls `origin` again, so the tensors that
    `origin` reads must not change before.
    """
    streams = origin()
    total = zeros(streams) if log_det else None
    tape = Tape(origin, roundtrip)
    for number, step in enumerate(steps):
        place = (number == 0, number == len(steps) - 1)
        *streams, total = _Node.apply(step, tape, place, *streams, total, *step.parameters.values())
    a, b = streams
    return (a, b), total


class _Node(Function):
    """One step. Inputs: the step, the tape, (is it first, is it last), both streams, log |det|, parameters."""

    @staticmethod
    def forward(ctx, step: Step, tape: Tape, place: tuple[bool, bool], a: Tensor, b: Tensor, log_det: Tensor | None, *parameters: Tensor):
        (a, b), log_det = step((a, b), log_det)
        ctx.step, ctx.tape, (ctx.first, ctx.last) = step, tape, place
        ctx.autocast = _autocast(a.device.type)
        ctx.save_for_backward(*parameters, *((a, b) if ctx.last else ()))
        return a, b, log_det

    @staticmethod
    @once_differentiable
    def backward(ctx, of_a: Tensor, of_b: Tensor, of_log_det: Tensor | None):
        saved, names = ctx.saved_tensors, ctx.step.parameters
        outputs = saved[len(names) :] if ctx.last else ctx.tape.streams
        step = ctx.step.bound(dict(zip(names, saved, strict=False)))
        with ctx.autocast():
            undone = step.undo(outputs, (of_a, of_b), of_log_det, ctx.needs_input_grad[3:5])
        if ctx.first:
            ctx.tape.close(undone.streams)
        else:
            ctx.tape.streams = undone.streams
        return None, None, None, *undone.gradients, undone.log_det, *undone.parameters


def _autocast(device: str) -> Callable[[], AbstractContextManager]:
    """Return a function that enters autocast with the present settings, but without its cache: each cast weight is used only once."""
    if not is_autocast_available(device):
        return nullcontext
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    return lambda: torch.autocast(device, dtype, enabled, cache_enabled=False)
