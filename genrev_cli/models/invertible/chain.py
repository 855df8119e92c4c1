"""Invertible layers one after another, and how much memory their gradients take."""

from collections.abc import Callable, Iterable, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genrev_cli.models.invertible.layer import Invertible, Step, Streams, run, zeros
from genrev_cli.models.invertible.reversible import run_reversible
from genrev_cli.models.invertible.watch import Largest
from genrev_cli.settings.schedule import MEMORY


@final
class Chain(Invertible):
    """Layers in order; its inverse runs their inverses in reverse order, and log-determinants add up.

    memory: of MEMORY. roundtrip: the largest difference of an input that the reversible backward pass recomputed from the real one.
    """

    def __init__(self, layers: Iterable[Invertible]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.memory = MEMORY[0]
        self.roundtrip = Largest()

    def steps(self) -> Sequence[Step]:
        """Those of the layers."""
        return [step for layer in self.layers for step in layer.steps()]

    def take_largest(self) -> Tensor | None:
        """Of all layers."""
        seen = [largest for layer in self.layers if (largest := layer.take_largest()) is not None]
        return torch.stack(seen).amax() if seen else None

    def run(self, steps: Sequence[Step], origin: Callable[[], Streams], log_det: bool = False) -> tuple[Streams, Tensor | None]:
        """steps: this chain's in either direction, on the streams that `origin` makes; with log |det| (B,), or None if it is not asked for.

        Values and gradients are those of `forward` and the others, by `memory`; without gradients there is nothing to save.
        """
        if self.memory == "reversible" and torch.is_grad_enabled():
            return run_reversible(steps, origin, log_det, self.roundtrip)
        if self.memory == "checkpoint":
            steps = [_checkpointed(step) for step in steps]
        streams = origin()
        return run(steps, streams, zeros(streams) if log_det else None)


def _checkpointed(step: Step) -> Callable[[Streams, Tensor | None], tuple[Streams, Tensor | None]]:
    """The step, of which the inputs are kept and what it computes on the way is not.

    With the parameters as they are now: where `torch.func.functional_call` put them, they are others when the step is run again.
    """
    bound = step.bound(step.parameters)

    def flat(a: Tensor, b: Tensor, log_det: Tensor | None) -> tuple[Streams, Tensor | None]:
        return bound((a, b), log_det)

    return lambda streams, log_det: checkpoint(flat, *streams, log_det, use_reentrant=False, preserve_rng_state=False)
