"""Time semi-discrete transport: the published solver (github.com/k2cu8/pyOMT) with a budget, and genrev's until it is as accurate."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import final

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.ot.cells import Accuracy, judge
from genrev_cli.ot.semidiscrete import Solver, SolverConfig, build_solver
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.shapes import Codes
from genrev_cli.training.devices import has_bf16

DIMS = (32, 64)
MODES = 10
RATE, BETAS, TOLERANCE, PATIENCE = 0.05, (0.9, 0.999), 2e-3, 30
LOOK = 1.5  # genrev's accuracy is measured whenever its samples have grown by this factor
JUDGES_PER_CODE = 20
TARGET = 50.0


@dataclass(frozen=True)
class Budget:
    """Budget of the published solver. batch: samples scored at a time. batches: per iteration, at the start."""

    iterations: int = 38
    batch: int = 1000
    batches: int = 20


@dataclass(frozen=True, eq=False)
class Solved:
    """Heights (n,) of codes (n, d), and the number of samples used."""

    codes: Codes
    heights: Tensor
    samples: int

    @cached_property
    def accuracy(self) -> Accuracy:
        """The accuracy, measured on samples that were not used before."""
        return _judged(self.codes, self.heights, "ot-semidiscrete-judge")


def semidiscrete(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure the seconds to the accuracy that the published solver reaches with its budget, for codes of 32 and 64 dimensions."""
    n, budget = (500, Budget(4, 100, 4)) if options.quick else (10_000, Budget())
    return [_table(mixture(n, d).to(device), budget, options, progress) for d in DIMS]


def mixture(n: int, d: int) -> Codes:
    """Return codes (n, d) from ten distant Gaussians: centres from N(0, I), a standard deviation of 0.15 to 0.45 for each axis."""
    generator = torch.Generator().manual_seed(derive(0, "ot-semidiscrete", d))
    centres = torch.randn(MODES, d, generator=generator)
    spread = 0.15 + 0.3 * torch.rand(MODES, d, generator=generator)
    mode = torch.arange(n) % MODES
    return centres[mode] + spread[mode] * torch.randn(n, d, generator=generator)


def _table(codes: Codes, budget: Budget, options: BenchOptions, progress: Progress) -> Table:
    contest, device = Contest(codes, budget), codes.device
    notes = [
        "error: relative root mean square error of the cells' masses on fresh samples; empty: cells without any of these samples",
        f"published: Adam from 0 on the same Sobol points each iteration, stopped after {budget.iterations} iterations; genrev: until it "
        f"is certainly no worse, tested whenever its samples have grown by {LOOK}; the tests are not timed",
        f"{JUDGES_PER_CODE} samples per code measure the accuracy; no solver or test has used them",
    ]
    variants = [Variant("published", contest.published), Variant("genrev fp32", partial(contest.genrev, "fp32"), TARGET)]
    if options.bf16 or has_bf16(device):
        variants.append(Variant("genrev bf16", partial(contest.genrev, "bf16"), TARGET))
    else:
        notes.append("bf16 left out: this device does not multiply it in hardware; pass --bf16 to measure it anyway")
    title = f"semi-discrete transport, {len(codes)} codes in {codes.shape[1]} dimensions on {device.type}"
    timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda solved: solved.accuracy.rel)
    for row, timing in zip(rows, timings, strict=True):
        row |= {"empty": timing.result.accuracy.empty, "samples": timing.result.samples}
    return Table(title, rows, tuple(notes))


@final
class Contest:
    """Both solvers on the same codes. The first run of each, the warm-up, finds the number of steps that genrev needs."""

    def __init__(self, codes: Codes, budget: Budget) -> None:
        self.codes, self.budget = codes, budget
        self._reached: Solved | None = None
        self._steps: dict[str, int] = {}

    def published(self) -> Solved:
        """Run the published solver with its budget."""
        self._reached = published_heights(self.codes, self.budget)
        return self._reached

    def genrev(self, precision: str) -> Solved:
        """Run genrev's solver with the number of steps that makes it no worse than `published`; the first run finds this number."""
        if precision not in self._steps:
            self._steps[precision] = self._steps_needed(precision, self._reached or self.published())
        solver = self._solver(precision)
        for _ in range(self._steps[precision]):
            solver.step()
        return Solved(self.codes, solver.heights(), solver.samples)

    def _steps_needed(self, precision: str, reached: Solved) -> int:
        """Return the number of steps; it stops at the number of samples of the published solver."""
        solver, look = self._solver(precision), 1
        while solver.samples < reached.samples:
            solver.step()
            if solver.steps < look:
                continue
            if _judged(self.codes, solver.heights(), "ot-semidiscrete-look").within(reached.accuracy.rel):
                break
            look = math.ceil(LOOK * solver.steps)
        return solver.steps

    def _solver(self, precision: str) -> Solver:
        return build_solver(self.codes, None, SolverConfig(precision=precision), derive(0, "ot-semidiscrete-fit"))


def _judged(codes: Codes, heights: Tensor, purpose: str) -> Accuracy:
    return judge(codes, heights, samples=JUDGES_PER_CODE * len(codes), seed=derive(0, purpose))


def published_heights(codes: Codes, budget: Budget) -> Solved:
    """Return h from h ← h − 0.05 m/√v, with mean 0;  m, v: averages of g and g² from 0, without bias correction;  g = w(h) − 1/n

    w: shares of the cells among the first points of a Sobol sequence. The number of batches doubles after 30 iterations without a
    smaller ‖g‖. It ends when ‖g‖ < 2e-3. This is the solver of github.com/k2cu8/pyOMT, with its layout and one array for all scores.
    """
    n, d = codes.shape
    h, m, v = (torch.zeros(n, device=codes.device) for _ in range(3))
    scores = torch.empty(n, budget.batch, device=codes.device)
    sobol, batches, samples = SobolEngine(d), budget.batches, 0
    best, waited = math.inf, 0
    for _ in range(budget.iterations):
        g = _masses(codes, h, sobol.reset(), batches, scores=scores) - 1 / n
        samples += batches * budget.batch
        m = BETAS[0] * m + (1 - BETAS[0]) * g
        v = BETAS[1] * v + (1 - BETAS[1]) * g.square()
        h = h - RATE * m / (v.sqrt() + 1e-8)
        h -= h.mean()
        norm = g.norm().item()
        if norm < TOLERANCE:
            break
        best, waited = (norm, 0) if norm < best else (best, waited + 1)
        if waited > PATIENCE:
            batches, waited = 2 * batches, 0
    return Solved(codes, h, samples)


def _masses(codes: Codes, h: Tensor, sobol: SobolEngine, batches: int, *, scores: Tensor) -> Tensor:
    """Return w (n,): w_i = share of the points x with i = arg max ⟨x, y_i⟩ + h_i. scores: buffer (n, batch), a column per point."""
    counts = torch.zeros_like(h)
    for _ in range(batches):
        x = sobol.draw(scores.shape[1]).to(codes.device) - 0.5
        torch.mm(codes, x.T, out=scores).add_(h[:, None])
        counts += torch.bincount(scores.max(0).indices, minlength=len(codes))
    return counts / counts.sum()
