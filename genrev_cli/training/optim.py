"""Optimisers that change only their own parameters."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.shapes import Scalar
from genrev_cli.training.buckets import Gradients


class Optimizer:
    """Adam on the parameters of some modules; with `momentum`, gradient descent with momentum instead.

    max_grad_norm: the norm of the gradient is clipped to it; 0 does not clip. weight_decay: this multiple of each parameter is added to its
    clipped gradient. eps: added to Adam's denominator.
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
            given = f"betas {betas}" if momentum is None else f"momentum {momentum}"
            raise UsageError(
                f"lr {lr}, {given}, max_grad_norm {max_grad_norm}, weight_decay {weight_decay}, eps {eps}: "
                f"no number may be negative, and 0 ≤ {given.split()[0]} < 1 must hold"
            )
        self.lr = lr
        self.parameters = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        fused = not self.parameters[0].is_meta  # a dry run has no device to fuse on
        self.rule: torch.optim.Optimizer = (
            torch.optim.Adam(self.parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)
            if momentum is None
            else torch.optim.SGD(self.parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
        )
        self.max_grad_norm = max_grad_norm

    def scale(self, factor: float) -> None:
        """Set the learning rate to `factor` times the config's. It is not a part of the state: the loop sets it before each step."""
        for group in self.rule.param_groups:
            group["lr"] = factor * self.lr

    def apply(self, gradients: list[Tensor]) -> Scalar:
        """Make one step with these gradients, and return their norm before clipping."""
        norm = torch.nn.utils.get_total_norm(gradients)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = _laid_out(gradient, parameter)
        if self.max_grad_norm:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.max_grad_norm, norm)
        self.rule.step()
        self.rule.zero_grad(set_to_none=True)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """Return moments and step counts, under `number of the parameter . name of the tensor`."""
        states = self.rule.state_dict()["state"]
        return {f"{i}.{name}": tensor.contiguous() for i, state in states.items() for name, tensor in state.items() if tensor is not None}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Load what `tensors` returned. Learning rates are not a part of it: they come from the config."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            number, name = key.split(".", 1)
            parameter = self.parameters[int(number)]
            state.setdefault(int(number), {})[name] = _laid_out(tensor, parameter) if tensor.shape == parameter.shape else tensor
        self.rule.load_state_dict({"state": state, "param_groups": self.rule.state_dict()["param_groups"]})


def _laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the same values in the memory order of `like`: fused optimizers assume that both have the same order."""
    if tensor.stride() == like.stride():
        return tensor
    return torch.empty_like(like, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def descend(*pairs: tuple[Optimizer, Scalar]) -> list[Scalar]:
    """Make one step of each optimizer down its own loss, and return the norms of the gradients.

    All gradients are computed before any step, each only for the parameters of its optimizer, and averaged over processes. So a loss
    changes no other parameters. A parameter that a loss does not depend on is an error.
    """
    gradients = [Gradients(loss, optimizer.parameters, retain_graph=i + 1 < len(pairs)) for i, (optimizer, loss) in enumerate(pairs)]
    return [optimizer.apply(means.wait()) for (optimizer, _), means in zip(pairs, gradients, strict=True)]
