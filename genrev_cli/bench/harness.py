"""Variants that do the same work, timed in turn, and the table of what came out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from genrev_cli.progress import Progress


@dataclass(frozen=True)
class Variant:
    """One way of doing the work. target: how many times faster than the baseline it is meant to be, None where nothing is claimed."""

    name: str
    run: Callable[[], Any]
    target: float | None = None


@dataclass(frozen=True)
class Timing:
    """Of every round, in order: seconds on the clock, and of all the process's threads. result: what the variant gave in the warm-up.

    On CUDA the clock is read when the device has nothing left to do, and the CPU's seconds are what it took to keep the device busy.
    """

    variant: Variant
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    result: Any


@dataclass(frozen=True)
class Table:
    """title: what was measured, and of what size. rows: column → value, the baseline first. notes: sentences to read it by."""

    title: str
    rows: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"title": self.title, "rows": self.rows, "notes": list(self.notes)}


def alternate(variants: Sequence[Variant], rounds: int, title: str, progress: Progress) -> list[Timing]:
    """Run every variant once to warm up, then `rounds` times in turn, so that what else the machine does falls on all alike."""
    results, taken = [], [[] for _ in variants]
    with progress.task(title, (rounds + 1) * len(variants), "runs") as bar:
        for variant in variants:
            results.append(variant.run())
            bar.advance()
        for _ in range(rounds):
            for variant, times in zip(variants, taken, strict=True):
                times.append(timed(variant.run))
                bar.advance()
    return [Timing(v, *zip(*times, strict=True), r) for v, times, r in zip(variants, taken, results, strict=True)]


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds that `run` takes on the clock, until the device is done, and those of all the process's threads."""
    synchronize()
    start, cpu_start = time.perf_counter(), time.process_time()
    run()
    synchronize()
    return time.perf_counter() - start, time.process_time() - cpu_start


def synchronize() -> None:
    """Wait until the current CUDA device has nothing left to do, where CUDA is used at all."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def compared(timings: Sequence[Timing], error: Callable[[Any], float]) -> list[dict[str, Any]]:
    """A row for every variant: median seconds, and how many times faster than the first one.

    The ratio is the median of the ratios within each round, as the two runs of a round are neighbours in time; `ratio_min` and
    `ratio_max` are the least and greatest of them; `ratio_cpu` and the others are the same of CPU time, which a busy machine disturbs less.
    error: of a variant's result.
    """
    return [_row(timing, timings[0]) | {"error": error(timing.result)} for timing in timings]


def _row(timing: Timing, baseline: Timing) -> dict[str, Any]:
    ratios = [b / s for b, s in zip(baseline.seconds, timing.seconds, strict=True)]
    ratios_cpu = [b / s for b, s in zip(baseline.cpu_seconds, timing.cpu_seconds, strict=True)]
    return {
        "variant": timing.variant.name,
        "seconds": median(timing.seconds),
        "ratio": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "ratio_cpu": median(ratios_cpu),
        "ratio_cpu_min": min(ratios_cpu),
        "ratio_cpu_max": max(ratios_cpu),
        "target": timing.variant.target,
    }
