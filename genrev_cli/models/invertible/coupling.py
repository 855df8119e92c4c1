"""Couplings: change one stream by a function of the other. The other stream stays, so the same function undoes the change."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genrev_cli.models.invertible.layer import Invertible, Step, Streams, Undone


class Coupling(Invertible):
    """y₁ = combine(x₁, F(x₂)),  y₂ = combine(x₂, G(y₁));   x₂ = separate(y₂, G(y₁)),  x₁ = separate(y₁, F(x₂)).

    A subclass defines how a stream x is combined with h, the branch's output for the other stream. F and G may be any networks without
    randomness, batch normalisation or other state, because forward pass and inverse must compute the same function.
    """

    def __init__(self, F: nn.Module, G: nn.Module) -> None:
        super().__init__()
        self.F = F
        self.G = G

    def steps(self) -> Sequence[Step]:
        """Return the two equations as steps."""
        return Half(self, self.F, first=True), Half(self, self.G, first=False)

    @abstractmethod
    def terms(self, output: Any, dtype: torch.dtype) -> Any:
        """Return h from a branch's output. dtype: of the streams; the output may have another."""

    @abstractmethod
    def combine(self, x: Tensor, h: Any) -> Tensor:
        """Return the changed stream y."""

    @abstractmethod
    def separate(self, y: Tensor, h: Any) -> Tensor:
        """Return x such that combine(x, h) == y: separate(combine(x, h), h) == x up to rounding."""

    @abstractmethod
    def log_det(self, h: Any) -> Tensor | None:
        """Return log |det| of `combine` with respect to x, (B,); None means 0."""


@final
@dataclass(frozen=True, eq=False)
class Half(Step):
    """One of the two equations. first: it changes the first stream, else the second. undoes: it applies `separate`, else `combine`.

    values: parameters to use in place of the branch's own.
    """

    coupling: Coupling
    branch: nn.Module
    first: bool
    undoes: bool = False
    _: KW_ONLY
    values: dict[str, Tensor] | None = None

    def __call__(self, streams: Streams, log_det: Tensor | None) -> tuple[Streams, Tensor | None]:
        x, fixed = self._ordered(streams)
        h = self._terms(fixed)
        if log_det is not None and (own := self._log_det(h)) is not None:
            log_det = log_det + own
        return self._ordered((self._change(x, h), fixed)), log_det

    @property
    def inverse(self) -> "Half":
        return replace(self, undoes=not self.undoes)

    @property
    def parameters(self) -> dict[str, Tensor]:
        return dict(self.branch.named_parameters()) if self.values is None else self.values

    def bound(self, parameters: dict[str, Tensor]) -> "Half":
        return replace(self, values=parameters)

    def undo(self, outputs: Streams, gradients: Streams, log_det: Tensor | None, needed: tuple[bool, bool]) -> Undone:
        """Run the branch once, for both tasks: recompute x = separate(y, h), and differentiate y = combine(x, h)."""
        y, fixed = self._ordered(outputs)
        upstream, passed = self._ordered(gradients)
        x_needed, fixed_needed = self._ordered(needed)
        # detached copies: a hook on the parameter itself would run here and again when autograd gets the gradient
        parameters = {name: leaf.detach().requires_grad_(leaf.requires_grad) for name, leaf in self.parameters.items()}
        with torch.enable_grad():
            fixed = fixed.detach().requires_grad_(fixed_needed)
            h = self.bound(parameters)._terms(fixed)
            with torch.no_grad():
                x = self.inverse._change(y, h)
            x.requires_grad_(x_needed)
            results = [(self._change(x, h), upstream)]
            if log_det is not None and (own := self._log_det(h)) is not None:
                results.append((own, log_det))
        of_x, of_fixed, *of_parameters = _gradients(results, [x, fixed, *parameters.values()])
        return Undone(self._ordered((x, fixed)), self._ordered((of_x, _plus(of_fixed, passed))), log_det, tuple(of_parameters))

    def _ordered(self, pair: tuple) -> tuple:
        """Map (first, second) to (changing, fixed), and back."""
        return pair if self.first else pair[::-1]

    def _terms(self, fixed: Tensor) -> Any:
        output = self.branch(fixed) if self.values is None else functional_call(self.branch, self.values, fixed)
        return self.coupling.terms(output, fixed.dtype)

    def _change(self, x: Tensor, h: Any) -> Tensor:
        return self.coupling.separate(x, h) if self.undoes else self.coupling.combine(x, h)

    def _log_det(self, h: Any) -> Tensor | None:
        log_det = self.coupling.log_det(h)
        return -log_det if self.undoes and log_det is not None else log_det


def _gradients(results: list[tuple[Tensor, Tensor]], leaves: list[Tensor]) -> list[Tensor | None]:
    """Return the gradients of Σ ⟨result, upstream⟩ with respect to the leaves; None for leaves that need or have none."""
    outputs, upstream = zip(*[(result, gradient) for result, gradient in results if result.requires_grad], strict=True)
    found = iter(torch.autograd.grad(outputs, [leaf for leaf in leaves if leaf.requires_grad], upstream, allow_unused=True))
    return [next(found) if leaf.requires_grad else None for leaf in leaves]


def _plus(gradient: Tensor | None, other: Tensor) -> Tensor:
    return other if gradient is None else gradient + other
