"""A sequence of invertible layers, with a choice of how much memory its gradients take."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genrev_cli.models.invertible.layer import Applied, Invertible, Step, Streams, run, zeros
from genrev_cli.models.invertible.reversible import run_reversible
from genrev_cli.models.invertible.watch import Largest
from genrev_cli.settings.schedule import MEMORY
from genrev_cli.shapes import Scores


@final
class Chain(Invertible):
    """Layers in order. The inverse runs their inverses in reverse order, and log-determinants add up.

    memory: one of MEMORY. roundtrip: the largest difference between an input and the same input recomputed by the reversible backward pass.
    """

    def __init__(self, layers: Iterable[Invertible]) -> None:
        super().__init__()
        self.layers = cast("Sequence[Invertible]", nn.ModuleList(layers))
        self.memory = MEMORY[0]
        self.roundtrip = Largest()

    def steps(self) -> Sequence[Step]:
        """Return the steps of all layers, from the image side to the latent side."""
        return [step for layer in self.layers for step in layer.steps()]

    def take_largest(self) -> Tensor | None:
        """Return the largest stream magnitude of all layers since the last call, () on its device; None if no layer records it."""
        seen = [largest for layer in self.layers if (largest := layer.take_largest()) is not None]
        return torch.stack(seen).amax() if seen else None

    def run(self, steps: Sequence[Step], origin: Callable[[], Streams]) -> Streams:
        """Run this chain's `steps`, in either direction, on the streams that `origin` returns.

        Values and gradients are those of `forward` and `inverse`, with the memory use that `memory` chooses.
        """
        return self._run(steps, origin, log_det=False)[0]

    def run_log_det(self, steps: Sequence[Step], origin: Callable[[], Streams]) -> tuple[Streams, Scores]:
        """Run like `run`, and return log |det| (B,) too."""
        streams, log_det = self._run(steps, origin, log_det=True)
        assert log_det is not None
        return streams, log_det

    def _run(self, steps: Sequence[Step], origin: Callable[[], Streams], log_det: bool) -> tuple[Streams, Scores | None]:
        if self.memory == "reversible" and torch.is_grad_enabled():
            return run_reversible(steps, origin, log_det, self.roundtrip)
        streams = origin()
        applied = [_checkpointed(step) for step in steps] if self.memory == "checkpoint" else steps
        return run(applied, streams, zeros(streams) if log_det else None)


def _checkpointed(step: Step) -> Applied:
    """Return the step as a function that keeps its inputs and recomputes everything else in the backward pass.

    It binds the present parameters: parameters set by `torch.func.functional_call` are gone when the step runs again.
    """
    bound = step.bound(step.parameters)

    def flat(a: Tensor, b: Tensor, log_det: Scores | None) -> tuple[Streams, Scores | None]:
        return bound((a, b), log_det)

    return lambda streams, log_det: checkpoint(flat, *streams, log_det, use_reentrant=False, preserve_rng_state=False)
