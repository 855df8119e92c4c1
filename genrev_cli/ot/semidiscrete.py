"""Semi-discrete optimal transport from the cube to weighted codes: heights by averaged stochastic gradient descent (D3).

u_h(x) = max_i ⟨x, y_i⟩ + h_i;   minimise E(h) = E u_h(x) − Σ b_i h_i;   ∂E/∂h_i = w_i(h) − b_i,  w_i = P(x in cell i)

Every step draws fresh samples, smooths the maximum by ε and averages the iterates, as Genans et al. 2025 (arXiv:2510.27340) do; the units
of ε and of the steps are measured, and ε comes down from the scale of all scores, so that no code waits far from where its cell should be.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.initial import Scales, Target, line_heights, merge, score_scales, starting_heights
from genrev_cli.ot.scores import PRECISIONS, build_scores, centred
from genrev_cli.ot.source import Cube, Ranks
from genrev_cli.shapes import Codes

_WARMUP_SAMPLES = 2000  # for the energy of the starting heights
_SCALE_SAMPLES = 256
_LOOKS = (5, 10, 20)  # the gap is measured again after so many samples per code


@dataclass(frozen=True)
class SolverConfig:
    """batch: samples of a step on all ranks together; 0 for min(4096, max(250, n/10)).

    eta: first step of a height per hit, in gaps δ between the highest scores. eps: first smoothing in δ.
    anneal: smoothing before that, in standard deviations of the scores, from which it halves every n samples down to δ; 0 for none.
    precision: 'fp32' or 'bf16', of the scores.
    """

    batch: int = 0
    eta: float = 1.5
    eps: float = 1.0
    anneal: float = 0.25
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.batch < 0:
            raise UsageError(f"semi-discrete transport: batch = {self.batch} is negative; 0 chooses one")
        if not (0 < self.eta < math.inf and 0 < self.eps < math.inf):
            raise UsageError(f"semi-discrete transport: eta = {self.eta} and eps = {self.eps} must be positive")
        if not 0 <= self.anneal < math.inf:
            raise UsageError(f"semi-discrete transport: anneal = {self.anneal} must be 0 or more")
        if self.precision not in PRECISIONS:
            raise UsageError(f"semi-discrete transport: precision = {self.precision!r} is unknown; there is {', '.join(PRECISIONS)}")


class Solver(ABC):
    """Heights of the codes of a target, better after every step. target: the codes without duplicates. batch: samples per step.

    Codes are centred inside. Heights hold for them as they were given too: with y + m for y all scores of an x change by ⟨x, m⟩.
    """

    target: Target
    batch: int
    steps: int

    @property
    def samples(self) -> int:
        """How many samples were used so far, on all ranks together."""
        return self.steps * self.batch

    @abstractmethod
    def step(self) -> None:
        """One update, a pure function of the state and (seed, number of the step), without waiting for the device."""

    @abstractmethod
    def heights(self) -> Tensor:
        """The best heights so far, of `target.codes`: (n,) float64 of mean 0."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that changes; with `load_tensors` of an equal solver, that one goes on to the bit."""

    @abstractmethod
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave."""


def build_solver(codes: Codes, weights: Tensor | None, config: SolverConfig, seed: int, ranks: Ranks | None = None) -> Solver:
    """The solver for codes (N, d), weights (N,) or equal ones, on the device of the codes. Codes of one dimension are solved at once.

    Raises UsageError when codes or weights do not fit or bf16 does not suffice for them, DivergedError when a code is not finite.
    """
    target = merge(codes, weights)
    batch = config.batch or min(4096, max(250, len(target.codes) // 10))
    if target.codes.shape[1] == 1:
        return LineSolver(target, batch)
    return StreamingSolver(target, batch, config, seed, ranks or Ranks())


def bf16_suffices(codes: Codes, weights: Tensor | None, seed: int) -> bool:
    """Whether scores rounded to bf16 tell codes (N, d) apart: not in few dimensions, where the gaps are small. Errors as `build_solver`."""
    target = merge(codes, weights)
    return _starting_point(target, seed)[1].fit_bf16()


def _starting_point(target: Target, seed: int) -> tuple[Tensor, Scales]:
    """Heights (n,) to start from, and the scales of their scores."""
    probe = Cube(target.codes.shape[1], target.codes.device, seed, "ot-start")
    scores = build_scores(centred(target.codes))
    heights = starting_heights(target, scores, probe.batch(0, _WARMUP_SAMPLES))
    return heights, score_scales(scores.lift(heights), probe.batch(1, _SCALE_SAMPLES))


@final
class LineSolver(Solver):
    """Codes of one dimension, whose heights are known (`line_heights`); steps only count samples."""

    def __init__(self, target: Target, batch: int) -> None:
        self.target, self.batch, self.steps = target, batch, 0

    def step(self) -> None:
        self.steps += 1

    def heights(self) -> Tensor:
        return line_heights(self.target)

    def tensors(self) -> dict[str, Tensor]:
        return {"steps": torch.tensor(self.steps)}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.steps = int(tensors["steps"])


@final
class StreamingSolver(Solver):
    """Averaged stochastic gradient descent on fresh samples.

        h ← h − η (c − B b),   c_i = Σ_x p_i(x),  p = softmax(S/ε)         one batch of B samples; Σ c = B keeps Σ h
        annealing:   ε = ε₀ 2^(−s/n),            η = η₀ ε                  from ε₀ = anneal σ down to δ
        afterwards:  ε = δ (1 + s/2n)^(−1/2),    η = η₀ δ (1 + s/2n)^(−2/3)
        h̄ ← h̄ + 3/(k+3) (h − h̄)                                            k = 0, 1, … steps after annealing

    δ, σ: `score_scales`. s: samples of the phase, of which a batch counts as 0.4 n at most, in s and in c: beyond that steps overshoot.
    """

    def __init__(self, target: Target, batch: int, config: SolverConfig, seed: int, ranks: Ranks) -> None:
        self.target, self.batch, self.steps, self._config, self._ranks = target, batch, 0, config, ranks
        n, dim = target.codes.shape
        device = target.codes.device
        self._heights, scales = _starting_point(target, seed)
        if config.precision == "bf16" and not scales.fit_bf16():
            found = f"the highest scores of about {scales.highest:.3g} lie {scales.gap:.2g} apart"
            raise UsageError(f"semi-discrete transport: {found}, too near for precision 'bf16'; use 'fp32'")
        self._average, self._gap, self._start = self._heights.clone(), scales.gap, config.anneal * scales.deviation
        self._unit = min(batch, 0.4 * n)
        self._annealing = math.ceil(n / self._unit * math.log2(max(1.0, float(self._start / self._gap))))
        self._scores = build_scores(centred(target.codes), config.precision)
        self._source, self._probe = Cube(dim, device, seed, "ot", ranks), Cube(dim, device, seed, "ot-scales")

    def _measure_gap(self) -> None:
        exact = build_scores(centred(self.target.codes)).lift(self._heights)  # the rounding of bf16 would add to the gap
        self._gap = score_scales(exact, self._probe.batch(self.steps, _SCALE_SAMPLES)).gap

    def step(self) -> None:
        k = self.steps - self._annealing
        eps, eta = self._schedule(k)
        counts = self._ranks.total(self._scores.lift(self._heights).soft_counts(self._source.share(self.steps, self.batch), eps))
        self._heights -= eta * self._unit * (counts / self.batch - self.target.weights)
        self._average += (3 / (k + 3) if k >= 0 else 1) * (self._heights - self._average)
        self.steps += 1
        before, now = k * self._unit, (k + 1) * self._unit
        if k == -1 or any(before < look * len(self._heights) <= now for look in _LOOKS):
            self._measure_gap()

    def _schedule(self, k: int) -> tuple[Tensor, Tensor]:
        """ε and η of the k-th step after annealing, which is one of it if k < 0."""
        n, c = len(self._heights), self._config
        if k < 0:
            eps = self._start * 2 ** (-self.steps * self._unit / n)
            return eps, c.eta * eps
        slower = 1 + k * self._unit / (2 * n)
        return c.eps * self._gap * slower**-0.5, c.eta * self._gap * slower ** (-2 / 3)

    def heights(self) -> Tensor:
        return self._average - self._average.mean()

    def tensors(self) -> dict[str, Tensor]:
        return {
            "heights": self._heights.clone(),
            "average": self._average.clone(),
            "gap": self._gap.clone(),
            "start": self._start.clone(),
            "annealing": torch.tensor(self._annealing),
            "steps": torch.tensor(self.steps),
        }

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        on = {name: tensor.to(self._heights.device, copy=True) for name, tensor in tensors.items()}
        self._heights, self._average, self._gap, self._start = on["heights"], on["average"], on["gap"], on["start"]
        self._annealing, self.steps = int(tensors["annealing"]), int(tensors["steps"])
