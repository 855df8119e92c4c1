"""Measure how CPU time and peak memory grow with the number of images or codes, the dimensions, the side of images and the depth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from genrev_cli.bench import growth_cases as cases
from genrev_cli.bench.harness import Table, timed
from genrev_cli.bench.machine import threads
from genrev_cli.bench.memory import extra_peak_mb
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions

LEAST_MB = 5.0
"""Below this, peak memory is mostly that of libraries, and no exponent is fitted."""


@dataclass(frozen=True)
class Curve:
    """Work of one kind in three sizes. prepare: size → a run. seconds, memory: the exponents that are expected.

    A run that grows by size^e has exponent e: 0 is constant, 1 linear, 2 quadratic.
    """

    name: str
    by: str
    sizes: tuple[int, int, int]
    prepare: Callable[[int], Callable[[], Any]]
    _: KW_ONLY
    seconds: float
    memory: float

    @property
    def quicker(self) -> int:
        """The factor by which --quick makes the sizes smaller: 16 for numbers of rows, 8 for sides of images, 1 for depths."""
        return 16 if self.sizes[0] >= 256 else 8 if self.sizes[0] >= 32 else 1


TRAINING = (
    Curve("RevNet step", "depth", (2, 4, 8), partial(cases.step_by_depth, "plain"), seconds=1, memory=1),
    Curve("RevNet step, reversible", "depth", (2, 4, 8), partial(cases.step_by_depth, "reversible"), seconds=1, memory=0),
    Curve("RevNet step", "side", (32, 64, 128), partial(cases.step_by_side, "plain"), seconds=2, memory=2),
    Curve("RevNet step, reversible", "side", (32, 64, 128), partial(cases.step_by_side, "reversible"), seconds=2, memory=2),
    Curve("transport loss (assignment)", "n", (256, 1024, 4096), cases.assignment, seconds=2.5, memory=2),
    Curve("sliced distance", "n", (2000, 8000, 32_000), cases.sliced, seconds=1, memory=1),
)
METRICS = (
    Curve("moments", "n", (4000, 16_000, 64_000), cases.moments_by_n, seconds=1, memory=0),
    Curve("moments", "d", (256, 512, 1024), cases.moments_by_d, seconds=2, memory=2),
    Curve("Fréchet distance", "d", (256, 512, 1024), cases.frechet, seconds=3, memory=2),
    Curve("precision, recall, density, coverage", "n", (1000, 2000, 4000), cases.neighbours, seconds=2, memory=0),
)
TRANSPORT = (
    Curve("fit-ot step", "codes", (8000, 32_000, 128_000), cases.solver_step, seconds=1, memory=1),
    Curve("64 codes of a map", "codes", (8000, 32_000, 128_000), cases.map_codes, seconds=1, memory=1),
)
STAGES = (
    Curve("sample to a .h5 file", "n", (256, 1024, 4096), cases.sample_images, seconds=1, memory=0),
    Curve("encode", "n", (256, 1024, 4096), cases.encode_images, seconds=1, memory=0),
    Curve("fid of pixels", "n", (2000, 8000, 32_000), cases.pixel_fid, seconds=1, memory=1),
)


def training(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure training steps and losses on the CPU."""
    return [measured("training", TRAINING, options, progress)]


def metrics(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure metrics of features, on the CPU."""
    return [measured("metrics", METRICS, options, progress)]


def transport(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure the solver of fit-ot and draws from a map, on the CPU."""
    return [measured("transport maps", TRANSPORT, options, progress)]


def stages(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure whole commands with the model that comes with genrev, on the CPU."""
    return [measured("commands", STAGES, options, progress)]


def measured(title: str, curves: Sequence[Curve], options: BenchOptions, progress: Progress) -> Table:
    """Return a row per curve: sizes, CPU milliseconds, peak MB, and the fitted exponents beside the expected ones."""
    rows = []
    with progress.task(f"growth, {title}", 3 * len(curves), "sizes") as bar:
        for curve in curves:
            sizes = tuple(size // curve.quicker for size in curve.sizes) if options.quick else curve.sizes
            seconds, peaks = [], []
            for size in sizes:
                seconds.append(_cpu_seconds(curve.prepare(size), options.rounds))
                peaks.append(extra_peak_mb(_warm, curve.prepare, sizes[0], size, options.threads))
                bar.advance()
            rows.append(_row(curve, sizes, seconds, peaks))
    notes = (
        "exponent e: the value grows by size^e, a fit to three sizes; CPU time is the least of all rounds",
        f"memory: what a run adds at its peak, in its own process; no exponent below {LEAST_MB:g} MB",
    )
    return Table(f"growth, {title}, on the CPU", rows, notes)


def _cpu_seconds(run: Callable[[], Any], rounds: int) -> float:
    run()
    return min(timed(run)[1] for _ in range(rounds))


def _row(curve: Curve, sizes: Sequence[int], seconds: Sequence[float], peaks: Sequence[float]) -> dict[str, Any]:
    return {
        "work": curve.name,
        "by": curve.by,
        "sizes": " ".join(map(str, sizes)),
        "cpu_ms": " ".join(f"{1000 * value:.3g}" for value in seconds),
        "exponent": exponent(sizes, seconds),
        "expected": curve.seconds,
        "peak_mb": " ".join(f"{value:.3g}" for value in peaks),
        "exponent_mb": exponent(sizes, peaks) if max(peaks) >= LEAST_MB else None,
        "expected_mb": curve.memory,
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of log value against log size, by least squares; values below 1e-9 count as that."""
    x, y = np.log(sizes), np.log(np.maximum(values, 1e-9))
    slope = float(np.polyfit(x, y, 1)[0])
    assert math.isfinite(slope)
    return slope


def _warm(prepare: Callable[[int], Callable[[], Any]], least: int, size: int, n_threads: int) -> Callable[[], Any]:
    """Prepare a run after one of the least size, so that libraries have loaded what they need."""

    def run() -> None:
        with threads(n_threads):
            work()

    with threads(n_threads):
        prepare(least)()
    work = prepare(size)
    return run
