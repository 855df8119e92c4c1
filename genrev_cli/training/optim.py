"""Optimisers that touch only their own parameters."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.shapes import Scalar
from genrev_cli.training.distributed import average


class Optimizer:
    """Adam on the parameters of some modules, with the gradient's norm clipped to `max_grad_norm` (0: not clipped).

    weight_decay: times the parameter, added to the clipped gradient. eps: added to Adam's denominator.
    Raises UsageError for a negative rate, norm, decay or eps, and for betas outside [0, 1).
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        *,
        lr: float,
        betas: tuple[float, float],
        max_grad_norm: float,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not (min(lr, max_grad_norm, weight_decay, eps) >= 0 and all(0 <= beta < 1 for beta in betas)):
            raise UsageError(
                f"lr {lr}, betas {betas}, max_grad_norm {max_grad_norm}, weight_decay {weight_decay}, eps {eps}: "
                "no negative number and 0 ≤ betas < 1 are needed"
            )
        self.lr = lr
        self.parameters = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        fused = not self.parameters[0].is_meta  # a dry run has no device to fuse on
        self.adam = torch.optim.Adam(self.parameters, lr=lr, betas=betas, weight_decay=weight_decay, eps=eps, fused=fused)
        self.max_grad_norm = max_grad_norm

    def scale(self, factor: float) -> None:
        """From now on the learning rate is `factor` times the config's. Not part of the state: a schedule says it anew each step."""
        for group in self.adam.param_groups:
            group["lr"] = factor * self.lr

    def apply(self, gradients: list[Tensor]) -> Scalar:
        """One step with these gradients; returns their norm before clipping."""
        norm = torch.nn.utils.get_total_norm(gradients)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self.max_grad_norm:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.max_grad_norm, norm)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """The moments and step counts: `number of the parameter . name of the tensor`."""
        return {f"{i}.{name}": tensor for i, state in self.adam.state_dict()["state"].items() for name, tensor in state.items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave; learning rates come from the config and not from here."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            number, name = key.split(".", 1)
            state.setdefault(int(number), {})[name] = tensor
        self.adam.load_state_dict({"state": state, "param_groups": self.adam.state_dict()["param_groups"]})


def descend(*pairs: tuple[Optimizer, Scalar]) -> list[Scalar]:
    """One step of each optimizer down its own loss; returns the norms of the gradients.

    All gradients are taken before any step, each with respect to its optimizer's parameters alone, so a loss reaches nothing
    that it should not; they are averaged over the processes. A parameter that a loss does not depend on is an error.
    """
    gradients = []
    for i, (optimizer, loss) in enumerate(pairs):
        gradients.append(torch.autograd.grad(loss, optimizer.parameters, retain_graph=i + 1 < len(pairs)))
    return [optimizer.apply(average(gradient)) for (optimizer, _), gradient in zip(pairs, gradients, strict=True)]
