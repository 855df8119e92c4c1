"""Solvers of dx/dt = v(x, t) with equal steps, and the divergence of v."""

from collections.abc import Callable

import torch
from torch import Tensor

from genrev_cli.settings.flow import SOLVERS

Field = Callable[[Tensor, float], Tensor]
"""v(x, t): (B, d), t → (B, d)."""


def _euler(v: Field, x: Tensor, t: float, h: float) -> Tensor:
    return v(x, t)


def _heun(v: Field, x: Tensor, t: float, h: float) -> Tensor:
    first = v(x, t)
    return (first + v(x + h * first, t + h)) / 2


def _rk4(v: Field, x: Tensor, t: float, h: float) -> Tensor:
    first = v(x, t)
    second = v(x + h / 2 * first, t + h / 2)
    third = v(x + h / 2 * second, t + h / 2)
    return (first + 2 * second + 2 * third + v(x + h * third, t + h)) / 6


_SLOPES = dict(zip(SOLVERS, (_euler, _heun, _rk4), strict=True))
ORDERS = dict(zip(SOLVERS, (1, 2, 4), strict=True))
"""Name of a solver → its order p: the error at the end falls like steps^(−p)."""


def integrate(v: Field, x: Tensor, *, start: float, end: float, solver: str, steps: int) -> Tensor:
    """Return x(end) of dx/dt = v(x, t), x(start) = x: (B, d) → (B, d). start > end integrates backwards. solver: a name of SOLVERS.

    Steps have one size, so the result of a row does not depend on other rows, as it would with a step size that adapts to a batch.
    """
    slope, h = _SLOPES[solver], (end - start) / steps
    for k in range(steps):
        x = x + h * slope(v, x, start + k * h, h)
    return x


def with_divergence(v: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Return v(x) and Σ_k e_kᵀ (∂v/∂x) e_k for directions e (K, B, d) or (K, 1, d): (B, d) → (B, d), (B,).

    It is the divergence for the unit vectors, and an unbiased estimate for e = ±1/√K at random (Hutchinson 1990).
    """

    value, pull = torch.func.vjp(v, x)[:2]  # not jvp, whose first call imports torch.jit and warns

    def along(e: Tensor) -> Tensor:
        return (pull(e)[0] * e).sum(1)

    return value, torch.func.vmap(along)(directions.expand(-1, *x.shape)).sum(0)
