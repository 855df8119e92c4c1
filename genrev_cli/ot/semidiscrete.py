"""Semi-discrete optimal transport from the cube or a Gaussian to weighted codes: heights by averaged stochastic gradient descent.

u_h(x) = max_i ⟨x, y_i⟩ + h_i;   minimise E(h) = E u_h(x) − Σ b_i h_i;   ∂E/∂h_i = w_i(h) − b_i,  w_i = P(x in cell i)

This is the map of An et al. 2020, section 3.2; the solver is that of Genans et al. 2025 (arXiv:2510.27340), not theirs. Every step draws
fresh samples, smooths the maximum by ε and averages the iterates. The units of ε and of the step size are measured. ε starts at the scale
of all scores and decreases, so that every code's cell quickly comes near its place.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.ot.clusters import PROBES, ClusterSearch
from genrev_cli.ot.initial import Scales, Target, line_heights, merge, score_scales, starting_heights
from genrev_cli.ot.scores import PRECISIONS, Scores, build_scores, centred
from genrev_cli.ot.source import SOURCES, Ranks
from genrev_cli.shapes import Codes

_WARMUP_SAMPLES = 2000  # for the energy of the initial heights
_SCALE_SAMPLES = 256
_REMEASURED = (5, 10, 20)  # samples per code after which the gap is measured again
_ANNEALING_SHARE = 8  # with a search: one of so many samples of a batch is drawn while annealing, when each has many cells


@dataclass(frozen=True, kw_only=True)
class SolverConfig:
    """batch: samples per step, over all ranks; 0 means min(4096, max(250, n/10)).

    eta: first step size of a height per hit, in units of δ, the gap between the highest scores. eps: first smoothing after annealing, in δ.
    anneal: smoothing at the start, in standard deviations of the scores; it halves every n samples until it is δ; 0 means no annealing.
    precision: of the scores, 'fp32' or 'bf16'. source: a name of SOURCES. search: False scores all codes for every sample; True only
    clusters of codes that can win, which needs codes on the CPU (`ClusterSearch`).
    """

    batch: int = 0
    eta: float = 1.5
    eps: float = 1.0
    anneal: float = 0.25
    precision: str = "fp32"
    source: str = "cube"
    search: bool = False

    def __post_init__(self) -> None:
        if self.batch < 0:
            raise UsageError(f"semi-discrete transport: batch = {self.batch} is negative; use 0 for the default")
        if not (0 < self.eta < math.inf and 0 < self.eps < math.inf):
            raise UsageError(f"semi-discrete transport: eta = {self.eta} and eps = {self.eps} must be positive")
        if not 0 <= self.anneal < math.inf:
            raise UsageError(f"semi-discrete transport: anneal = {self.anneal} must be 0 or more")
        if self.precision not in PRECISIONS:
            raise UsageError(f"semi-discrete transport: precision = {self.precision!r} is unknown; choose {', '.join(PRECISIONS)}")
        if self.source not in SOURCES:
            raise UsageError(f"semi-discrete transport: source = {self.source!r} is unknown; choose {', '.join(SOURCES)}")


class Solver(ABC):
    """An iterative solver for the heights of a target. target: the codes without duplicates. batch: samples per step.

    Codes are centred inside. The heights are also right for the codes as given: replacing y by y + m adds ⟨x, m⟩ to all scores of x.
    search: finds cells among clusters of codes; None: every code is scored.
    """

    target: Target
    batch: int
    steps: int
    search: ClusterSearch | None = None

    @property
    def samples(self) -> int:
        """Number of samples used so far, over all ranks."""
        return self.steps * self.batch

    @abstractmethod
    def step(self) -> None:
        """Update the heights once: a pure function of the state, the seed and the number of the step. It does not wait for the device."""

    @abstractmethod
    def heights(self) -> Tensor:
        """Return the best heights so far for `target.codes`: (n,) float64 with mean 0."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state. A solver with the same arguments that loads it continues with bit-identical results."""

    @abstractmethod
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Load a state from `tensors`."""


def build_solver(codes: Codes, weights: Tensor | None, config: SolverConfig, seed: int, *, ranks: Ranks | None = None) -> Solver:
    """Build the solver for codes (N, d) and weights (N,), equal by default, on the device of the codes. For d = 1 the solution is exact.

    Raises UsageError if codes or weights do not fit or bf16 is too coarse for them, DivergedError if a code is not finite.
    """
    target = merge(codes, weights)
    batch = config.batch or min(4096, max(250, len(target.codes) // 10))
    if target.codes.shape[1] == 1:
        return LineSolver(target, batch, config.source)
    return StreamingSolver(target, batch, config, seed, ranks=ranks or Ranks())


def bf16_suffices(codes: Codes, weights: Tensor | None, seed: int, source: str = "cube") -> bool:
    """Return True if bf16 scores can tell codes (N, d) apart. In few dimensions the gaps are too small. Raises like `build_solver`."""
    target = merge(codes, weights)
    return _starting_point(target, seed, source)[1].fit_bf16()


def _starting_point(target: Target, seed: int, source: str) -> tuple[Tensor, Scales]:
    """Return initial heights (n,), and the scales of their scores."""
    probe = SOURCES[source](target.codes.shape[1], target.codes.device, seed, "ot-start")
    scores = build_scores(centred(target.codes))
    heights = starting_heights(target, scores, probe.batch(0, _WARMUP_SAMPLES), source)
    return heights, score_scales(scores.lift(heights), probe.batch(1, _SCALE_SAMPLES))


@final
class LineSolver(Solver):
    """The exact solution for one-dimensional codes (`line_heights`). Steps only count samples."""

    def __init__(self, target: Target, batch: int, source: str = "cube") -> None:
        self.target, self.batch, self.steps, self._from = target, batch, 0, source

    def step(self) -> None:
        self.steps += 1

    def heights(self) -> Tensor:
        return line_heights(self.target, self._from)

    def tensors(self) -> dict[str, Tensor]:
        return {"steps": torch.tensor(self.steps)}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.steps = int(tensors["steps"])


@final
class StreamingSolver(Solver):
    """Averaged stochastic gradient descent on fresh samples.

        h ← h − η (c − B b),   c_i = Σ_x p_i(x),  p = softmax(S/ε)               one batch of B samples; Σ c = B keeps Σ h
        annealing:   ε = ε₀ 2^(−s/n),                 η = eta ε                         from ε₀ = anneal σ down to δ
        afterwards:  ε = eps δ (1 + s/2n)^(−1/2),     η = eta δ (1 + s/2n)^(−2/3)
        h̄ ← h̄ + 3/(k+3) (h − h̄)                                                k = 0, 1, … steps after annealing

    δ, σ: `score_scales`. s: samples so far in the phase. A batch counts as at most 0.4 n samples, in s and in c, because larger steps
    overshoot. With a search, annealing draws an eighth of each batch and counts it as the whole; afterwards cells are searched for.
    """

    def __init__(self, target: Target, batch: int, config: SolverConfig, seed: int, *, ranks: Ranks) -> None:
        self.target, self.batch, self.steps, self._config, self._ranks = target, batch, 0, config, ranks
        n, dim = target.codes.shape
        device = target.codes.device
        self._heights, scales = _starting_point(target, seed, config.source)
        if config.precision == "bf16" and not scales.fit_bf16():
            found = f"the highest scores are about {scales.highest:.3g} and only {scales.gap:.2g} apart"
            raise UsageError(f"semi-discrete transport: {found}, too close for precision 'bf16'; use 'fp32'")
        self._average, self._gap, self._start = self._heights.clone(), scales.gap, config.anneal * scales.deviation
        self._unit = min(batch, 0.4 * n)
        self._annealing = math.ceil(n / self._unit * math.log2(max(1.0, float(self._start / self._gap))))
        self._scores = build_scores(centred(target.codes), config.precision)
        source = SOURCES[config.source]
        self._source, self._probe = source(dim, device, seed, "ot", ranks=ranks), source(dim, device, seed, "ot-scales")
        self._margin = math.inf  # without a search, and where it gains nothing
        if config.search:
            self.search = ClusterSearch(target.codes, seed, config.precision)
            self._measure_margin()

    @property
    def samples(self) -> int:
        less = self.batch - self._drawn(-1)
        return self.steps * self.batch - less * min(self.steps, self._annealing)

    def _drawn(self, k: int) -> int:
        """Return the number of samples of the k-th step after annealing."""
        return max(1, self.batch // _ANNEALING_SHARE) if self.search and k < 0 else self.batch

    def _measure_margin(self) -> None:
        if self.search:
            x = self._probe.batch(self.steps, _SCALE_SAMPLES + PROBES)[_SCALE_SAMPLES:]
            self._margin, _ = self.search.measured(self.target.codes, self._heights, x)

    def _measure_gap(self) -> None:
        exact = build_scores(centred(self.target.codes)).lift(self._heights)  # bf16 rounding would enlarge the gap
        self._gap = score_scales(exact, self._probe.batch(self.steps, _SCALE_SAMPLES)).gap
        self._measure_margin()

    def step(self) -> None:
        k = self.steps - self._annealing
        eps, eta = self._schedule(k)
        drawn = self._drawn(k)
        counts = self._ranks.total(self._lifted(k).soft_counts(self._source.share(self.steps, drawn), eps))
        self._heights -= eta * self._unit * (counts / drawn - self.target.weights)
        self._average += (3 / (k + 3) if k >= 0 else 1) * (self._heights - self._average)
        self.steps += 1
        before, now = k * self._unit, (k + 1) * self._unit
        if k == -1 or any(before < samples * len(self._heights) <= now for samples in _REMEASURED):
            self._measure_gap()

    def _lifted(self, k: int) -> Scores | ClusterSearch:
        """Return the kernels of the k-th step after annealing, with the heights."""
        if self.search is None or k < 0 or self._margin == math.inf:
            return self._scores.lift(self._heights)
        return self.search.lift(self._heights, self._margin)

    def _schedule(self, k: int) -> tuple[Tensor, Tensor]:
        """Return ε and η of the k-th step after annealing; k < 0 is a step of annealing."""
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
        } | ({"margin": torch.tensor(self._margin)} if self.search else {})

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        on = {name: tensor.to(self._heights.device, copy=True) for name, tensor in tensors.items()}
        self._heights, self._average, self._gap, self._start = on["heights"], on["average"], on["gap"], on["start"]
        self._annealing, self.steps = int(tensors["annealing"]), int(tensors["steps"])
        self._margin = float(tensors.get("margin", math.inf))
