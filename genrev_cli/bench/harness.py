"""Time variants that do the same work, in turn, and make a table of the results."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from genrev_cli.progress import Progress


@dataclass(frozen=True)
class Variant:
    """One way of doing the work. target: the speed-up over the baseline that it should reach; None if there is no target."""

    name: str
    run: Callable[[], Any]
    target: float | None = None


@dataclass(frozen=True)
class Timing:
    """Times of every round in order: wall seconds, and CPU seconds of all threads. result: what the variant returned in the warm-up.

    On CUDA the clock is read when the device is idle, and the CPU seconds are those needed to keep the device busy.
    """

    variant: Variant
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    result: Any


@dataclass(frozen=True)
class Table:
    """Results. title: what was measured, with sizes. rows: column → value, the baseline first. notes: what the columns mean."""

    title: str
    rows: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the table as a JSON object."""
        return {"title": self.title, "rows": self.rows, "notes": list(self.notes)}


def alternate(variants: Sequence[Variant], rounds: int, title: str, progress: Progress) -> list[Timing]:
    """Run every variant once to warm up, then `rounds` times in turn, so that other load on the machine slows all of them alike."""
    results: list[Any] = []
    taken: list[list[tuple[float, float]]] = [[] for _ in variants]
    with progress.task(title, (rounds + 1) * len(variants), "runs") as bar:
        for variant in variants:
            results.append(variant.run())
            bar.advance()
        for _ in range(rounds):
            for variant, times in zip(variants, taken, strict=True):
                times.append(timed(variant.run))
                bar.advance()
    return [
        Timing(variant, tuple(wall for wall, _ in times), tuple(cpu for _, cpu in times), result)
        for variant, times, result in zip(variants, taken, results, strict=True)
    ]


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Return the wall seconds until the device has finished `run`, and the CPU seconds of all threads."""
    synchronize()
    start, cpu_start = time.perf_counter(), time.process_time()
    run()
    synchronize()
    return time.perf_counter() - start, time.process_time() - cpu_start


def synchronize() -> None:
    """Wait until the current CUDA device is idle, if CUDA is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def compared(timings: Sequence[Timing], error: Callable[[Any], float]) -> list[dict[str, Any]]:
    """Return a row per variant: median seconds, the speed-up over the first variant (`ratio`), and the error of its result.

    The ratio is the median over rounds, because the two runs of a round follow each other closely. `ratio_min` and `ratio_max` are the
    extremes. `ratio_cpu`, `ratio_cpu_min` and `ratio_cpu_max` are the same for CPU time, which other load on the machine disturbs less.
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
