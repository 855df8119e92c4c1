"""Optimisers that touch only their own parameters."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.shapes import Scalar
from genrev_cli.training.buckets import Gradients


class Optimizer:
    """Adam on the parameters of some modules, or with `momentum` in the place of `betas` gradient descent with momentum.

    max_grad_norm: the gradient's norm is clipped to it (0: not clipped). weight_decay: times the parameter, added to the clipped
    gradient. eps: added to Adam's denominator.
    Raises UsageError for a negative rate, norm, decay or eps, and for betas or a momentum outside [0, 1).
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        *,
        lr: float,
        max_grad_norm: float,
        betas: tuple[float, float] = (0.9, 0.999),
        momentum: float | None = None,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        decays = betas if momentum is None else (momentum,)
        if not (min(lr, max_grad_norm, weight_decay, eps) >= 0 and all(0 <= decay < 1 for decay in decays)):
            said = f"betas {betas}" if momentum is None else f"momentum {momentum}"
            raise UsageError(
                f"lr {lr}, {said}, max_grad_norm {max_grad_norm}, weight_decay {weight_decay}, eps {eps}: "
                f"no negative number and 0 ≤ {said.split()[0]} < 1 are needed"
            )
        self.lr = lr
        self.parameters = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        how = {"lr": lr, "weight_decay": weight_decay, "fused": not self.parameters[0].is_meta}  # a dry run has no device to fuse on
        self.rule = (
            torch.optim.Adam(self.parameters, betas=betas, eps=eps, **how)
            if momentum is None
            else torch.optim.SGD(self.parameters, momentum=momentum, **how)
        )
        self.max_grad_norm = max_grad_norm

    def scale(self, factor: float) -> None:
        """From now on the learning rate is `factor` times the config's. Not part of the state: a schedule says it anew each step."""
        for group in self.rule.param_groups:
            group["lr"] = factor * self.lr

    def apply(self, gradients: list[Tensor]) -> Scalar:
        """One step with these gradients; returns their norm before clipping."""
        norm = torch.nn.utils.get_total_norm(gradients)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = _laid_out(gradient, parameter)
        if self.max_grad_norm:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.max_grad_norm, norm)
        self.rule.step()
        self.rule.zero_grad(set_to_none=True)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """What the rule remembers (moments, step counts): `number of the parameter . name of the tensor`."""
        states = self.rule.state_dict()["state"]
        return {f"{i}.{name}": tensor.contiguous() for i, state in states.items() for name, tensor in state.items() if tensor is not None}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave; learning rates come from the config and not from here."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            number, name = key.split(".", 1)
            parameter = self.parameters[int(number)]
            state.setdefault(int(number), {})[name] = _laid_out(tensor, parameter) if tensor.shape == parameter.shape else tensor
        self.rule.load_state_dict({"state": state, "param_groups": self.rule.state_dict()["param_groups"]})


def _laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """The same values in the memory order of `like`: fused rules walk through both in that order and do not look."""
    if tensor.stride() == like.stride():
        return tensor
    return torch.empty_like(like, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def descend(*pairs: tuple[Optimizer, Scalar]) -> list[Scalar]:
    """One step of each optimizer down its own loss; returns the norms of the gradients.

    All gradients are taken before any step, each with respect to its optimizer's parameters alone, so a loss reaches nothing
    that it should not; they are averaged over the processes. A parameter that a loss does not depend on is an error.
    """
    gradients = [Gradients(loss, optimizer.parameters, retain_graph=i + 1 < len(pairs)) for i, (optimizer, loss) in enumerate(pairs)]
    return [optimizer.apply(means.wait()) for (optimizer, _), means in zip(pairs, gradients, strict=True)]
