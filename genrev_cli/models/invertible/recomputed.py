"""Steps whose gradients autograd finds, for layers that are cheap to apply again."""

from abc import abstractmethod

import torch
from torch import Tensor

from genrev_cli.models.invertible.layer import Step, Streams, Undone, zeros
from genrev_cli.shapes import Scores


class Recomputed(Step):
    """A step that says how to apply itself and its inverse; `undo` recomputes the inputs and applies the step once more."""

    @property
    @abstractmethod
    def inverse(self) -> "Recomputed":
        """Return the step that undoes this one."""

    def undo(self, outputs: Streams, gradients: Streams, log_det: Scores | None, needed: tuple[bool, bool]) -> Undone:
        """Back-propagate from the outputs alone, as `Step.undo`."""
        a, b = (stream.detach() for stream in self.inverse(outputs, None)[0])
        inputs = a.requires_grad_(needed[0]), b.requires_grad_(needed[1])
        # detached copies: a hook on the parameter itself would run here and again when autograd gets the gradient
        parameters = {name: leaf.detach().requires_grad_(leaf.requires_grad) for name, leaf in self.parameters.items()}
        with torch.enable_grad():
            made, own = self.bound(parameters)(inputs, None if log_det is None else zeros(inputs))
        pairs: list[tuple[Tensor, Tensor]] = list(zip(made, gradients, strict=True))
        if own is not None and log_det is not None:
            pairs.append((own, log_det))
        pairs = [(result, upstream) for result, upstream in pairs if result.requires_grad]
        leaves = [*inputs, *parameters.values()]
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        found = iter(torch.autograd.grad([r for r, _ in pairs], wanted, [u for _, u in pairs], allow_unused=True))
        of_a, of_b, *of_parameters = [next(found) if leaf.requires_grad else None for leaf in leaves]
        return Undone((a.detach(), b.detach()), (of_a, of_b), log_det, tuple(of_parameters))
