"""A flow as a distribution of codes: dx/dt = v(x, t) from N(0, I) at t = 0 to codes at t = 1 (Lipman et al. 2023)."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents.distribution import Distribution
from genrev_cli.latents.ode import integrate, with_divergence
from genrev_cli.latents.paths import slerp
from genrev_cli.latents.streams import normal, uniforms
from genrev_cli.latents.velocity import Velocity
from genrev_cli.ot.blocks import blockwise
from genrev_cli.seeds import derive
from genrev_cli.settings.flow import MOST_BLOCKS, MOST_STEPS, MOST_WIDTH, SOLVERS
from genrev_cli.shapes import Codes, Labels, Scores

EXACT_DIMS, PROBES = 64, 16
"""Up to this number of dimensions the divergence is exact; beyond, it is estimated with so many random directions."""
_ROWS = 128
"""Number of codes that are integrated at a time. It is fixed, because the number of rows changes how products are rounded."""
_TANGENTS = 4096
"""Number of directions of all codes whose density is computed at a time."""


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """dim: d. width, blocks: of the network. classes: K, 0 for none. solver, steps: those of `integrate`."""

    dim: int
    width: int
    blocks: int
    classes: int = 0
    solver: str = "heun"
    steps: int = 16


@final
class Flow(Distribution):
    """y = m + s·x(1), dx/dt = v(x, t), x(0) ~ N(0, I). It is a bijection between the Gaussian codes x(0) and codes y.

    With classes v depends on the class, and a class is drawn first, by its share.
    class_mean, class_std (K, d), share (K,): moments of the codes of each class; K = 1 without classes. m (d,), s (): `mean`, `scale`.
    One scale for all dimensions keeps an optimal map of the codes optimal.
    """

    class_mean: Tensor
    class_std: Tensor
    share: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, *, width: int, blocks: int, classes: int = 0, solver: str = "heun", steps: int = 16) -> None:
        super().__init__()
        if dim < 1 or classes < 0 or not (0 < width <= MOST_WIDTH and 0 < blocks <= MOST_BLOCKS):
            raise UsageError(f"dim = {dim}, width = {width}, blocks = {blocks}, classes = {classes} describe no flow")
        _require_solver(solver, steps)
        self.dim, self.classes, self.solver, self.steps = dim, classes, solver, steps
        self.label: int | None = None
        self.config: dict[str, Any] = {
            "name": "flow", "dim": dim, "width": width, "blocks": blocks, "classes": classes, "solver": solver, "steps": steps,
        }  # fmt: skip
        self.network = Velocity(dim, width=width, blocks=blocks, classes=classes)
        self.register_buffer("class_mean", torch.zeros(classes or 1, dim))
        self.register_buffer("class_std", torch.ones(classes or 1, dim))
        self.register_buffer("share", torch.full((classes or 1,), 1 / (classes or 1)))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, codes: Codes, labels: Labels) -> None:
        """Set the moments to those of codes (n, d) with labels (n,), which only a flow with classes reads. Every class needs a code."""
        parts = [codes[labels == k].double() for k in range(self.classes)] if self.classes else [codes.double()]
        self.class_mean.copy_(torch.stack([part.mean(0) for part in parts]))
        self.class_std.copy_(torch.stack([part.std(0, correction=0) for part in parts]))
        self.share.copy_(torch.tensor([len(part) / len(codes) for part in parts]))
        self.mean.copy_(codes.double().mean(0))
        spread = codes.double().var(0, correction=0).mean().sqrt()
        self.scale.copy_(spread if spread > 0 else torch.ones_like(spread))

    def with_solver(self, solver: str, steps: int) -> "Flow":
        """Return the same flow with another solver or number of steps; '' and 0 keep them. Raises UsageError for unknown ones."""
        one = copy.copy(self)
        one.solver, one.steps = solver or self.solver, steps or self.steps
        _require_solver(one.solver, one.steps)
        one.config = {**self.config, "solver": one.solver, "steps": one.steps}
        return one

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        return self.sample_rows(n, slice(None), generator, temperature)

    def sample_rows(self, n: int, rows: slice, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Return `sample(n, …)[rows]`; only these rows are computed. A temperature scales x(0)."""
        u = torch.rand(n, generator=generator, device=generator.device)[rows]
        x = torch.randn(n, self.dim, generator=generator, device=generator.device)[rows]
        return self.codes(temperature * x, self._drawn(u))

    def sample_numbered(self, seed: int, numbers: Sequence[int], temperature: float = 1.0) -> Codes:
        u = uniforms(derive(seed, "sample", "flow"), numbers, 1 + self.dim)
        return self.codes(temperature * normal(u[:, 1:]), self._drawn(u[:, 0]))

    def for_numbers(self) -> "Flow":
        """Return the flow itself: on every device, x(0) is drawn on the CPU, and integrated in blocks of one size."""
        return self

    def moments(self) -> tuple[Codes, Codes]:
        """Return the moments of the codes to which the flow was fitted."""
        if self.label is not None:
            return self.class_mean[self.label], self.class_std[self.label]
        mean = self.share @ self.class_mean
        return mean, (self.share @ (self.class_std.square() + (self.class_mean - mean).square())).sqrt()

    def given(self, label: int) -> "Flow":
        """Return the flow of one class, with the same weights. Raises UsageError for a class that does not exist."""
        self.require_class(label)
        one = copy.copy(self)
        one.label, one.classes = label, 0
        return one

    @torch.no_grad()
    def codes(self, x: Codes, labels: Labels | None = None) -> Codes:
        """Return the codes y of Gaussian codes: x (B, d) → (B, d). labels (B,): for a flow with classes.

        The code of an x does not depend on the rest of the batch, on the CPU to the bit. Raises UsageError for missing labels.
        """

        def made(x: Tensor, labels: Tensor) -> tuple[Tensor]:
            return (self.mean + self.scale * self._integrated(x, labels, 0.0, 1.0),)

        return blockwise(made, *self._rows(x, labels), size=_ROWS)[0]

    @torch.no_grad()
    def gaussian(self, y: Codes, labels: Labels | None = None) -> Codes:
        """Return the Gaussian codes x(0) of codes: y (B, d) → (B, d), the inverse of `codes` up to the error of the solver.

        Raises UsageError for missing labels.
        """

        def made(y: Tensor, labels: Tensor) -> tuple[Tensor]:
            return (self._integrated(self.standardised(y), labels, 1.0, 0.0),)

        return blockwise(made, *self._rows(y, labels), size=_ROWS)[0]

    @torch.no_grad()
    def log_prob(self, y: Codes, labels: Labels | None = None, *, seed: int = 0) -> Scores:
        """log p(y) = log N(x(0); 0, I) − ∫₀¹ div v(x(t), t) dt − d log s, in nats: (B, d) → (B,)   (Lipman et al. 2023, appendix C)

        Up to EXACT_DIMS dimensions the divergence is exact. Beyond, it is estimated with random directions of `seed`, without bias.
        Raises UsageError for missing labels.
        """
        y, labels = self._rows(y, labels)
        if self.dim <= EXACT_DIMS:
            probes = torch.eye(self.dim, dtype=y.dtype, device=y.device)[None]  # (1, K, d)
        else:
            generator = torch.Generator().manual_seed(derive(seed, "divergence"))
            signs = torch.randint(2, (len(y), PROBES, self.dim), generator=generator).to(y) * 2 - 1
            probes = signs / math.sqrt(PROBES)

        def made(y: Tensor, labels: Tensor, *own: Tensor) -> tuple[Tensor]:
            directions = (own[0] if own else probes).transpose(0, 1)

            def field(state: Tensor, t: float) -> Tensor:
                velocity, divergence = with_divergence(lambda x: self._velocity(x, t, labels), state[:, :-1], directions)
                return torch.cat([velocity, divergence[:, None]], 1)

            state = torch.cat([self.standardised(y), torch.zeros_like(y[:, :1])], 1)
            state = integrate(field, state, start=1.0, end=0.0, solver=self.solver, steps=self.steps)
            x, change = state[:, :-1], state[:, -1]  # ∫₁⁰ div v dt
            return (-0.5 * x.square().sum(1) - 0.5 * self.dim * math.log(2 * math.pi) + change - self.dim * self.scale.log(),)

        own, count = ([], self.dim) if self.dim <= EXACT_DIMS else ([probes], PROBES)
        return blockwise(made, y, labels, *own, size=max(1, _TANGENTS // count))[0]

    def between(self, a: Codes, b: Codes, t: Tensor) -> Codes:
        """Return the codes along the arc between the Gaussian codes of a and of b: (d,), (d,), (n,) → (n, d). The ends are a and b.

        Raises UsageError for a flow with classes: `given` chooses one.
        """
        x = self.gaussian(torch.stack([a, b]))
        return self.codes(slerp(x[0], x[1], t))

    def standardised(self, y: Codes) -> Codes:
        """Return (y − m) / s, (B, d) → (B, d)."""
        return (y - self.mean) / self.scale

    def _drawn(self, u: Tensor) -> Labels | None:
        """Return a class for each u in [0, 1), (B,) → (B,), by the shares; None without classes."""
        if not self.classes:
            return None
        shares = self.share.double().cumsum(0)
        return torch.searchsorted(shares / shares[-1], u.double().to(shares.device).contiguous(), right=True)

    def _rows(self, x: Codes, labels: Labels | None) -> tuple[Tensor, Tensor]:
        """Return codes and their classes on the flow's device, (B, d) and (B,). Without classes, the latter are not read."""
        if labels is None and self.classes:
            raise UsageError(f"a flow with {self.classes} classes needs the class of each code; name one")
        x = x.to(self.mean)
        if labels is None:
            return x, torch.full((len(x),), self.label or 0, device=x.device)
        return x, labels.to(x.device)

    def _velocity(self, x: Tensor, t: float, labels: Tensor) -> Tensor:
        return self.network(x, x.new_full((len(x),), t), labels)

    def _integrated(self, x: Tensor, labels: Tensor, start: float, end: float) -> Tensor:
        return integrate(lambda x, t: self._velocity(x, t, labels), x, start=start, end=end, solver=self.solver, steps=self.steps)


def _require_solver(solver: str, steps: int) -> None:
    if solver not in SOLVERS or not 0 < steps <= MOST_STEPS:
        raise UsageError(f"solver = {solver!r}, steps = {steps}: there is {', '.join(SOLVERS)}, with 1 to {MOST_STEPS} steps")
