"""Run programs that do the same task in turn, each in its own process, and compare what they cost."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from genrev_cli.bench.harness import Table
from genrev_cli.bench.peers import installed
from genrev_cli.errors import UnavailableError
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions

TARGET = 2.0
"""How many times less CPU time genrev should take."""

LAUNCH = Path(__file__).with_name("launch.py")
NOTES = (
    "ratio_cpu: CPU seconds of the program in 'against' over those of this row, median over rounds (least, greatest)",
    "ratio: the same for wall time",
    "every run is its own process, with its start; CPU seconds include its children, and peak_mb is that of its largest process",
)


@dataclass(frozen=True)
class Side:
    """A program. judge: its stdout → columns that say how good its result is. clean: files and folders to remove before each run.

    needs: name of the package to import → name to install, for a program of other people; {} for genrev.
    environment: variables to set. target: the wanted ratio of CPU time. against: name of the side to compare with; '' is the first.
    """

    name: str
    command: Sequence[str]
    judge: Callable[[str], dict[str, Any]]
    _: KW_ONLY
    clean: Sequence[Path] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    target: float | None = None
    against: str = ""


@dataclass(frozen=True)
class Cost:
    """Wall seconds, CPU seconds, peak resident memory in MB (10⁶ bytes) of the largest process, and stdout."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    stdout: str


def race(title: str, sides: Sequence[Side], options: BenchOptions, progress: Progress, *, notes: Sequence[str] = ()) -> Table:
    """Run the sides in turn, `options.rounds` times, and return a row for each: its cost, the ratios to the first row, and its quality.

    A program whose package is missing, or that fails, is left out with a note. Raises UnavailableError if genrev's own side fails.
    """
    said = [sentence for side in sides if (sentence := missing(side))]
    racing = [side for side in sides if not missing(side)]
    costs: dict[str, list[Cost]] = {side.name: [] for side in racing}
    with TemporaryDirectory() as earlier, progress.task(title, options.rounds * len(racing), "runs") as bar:
        for _ in range(options.rounds):
            for side in tuple(racing):
                try:
                    costs[side.name].append(spend(side, options.threads, Path(earlier)))
                except UnavailableError as error:
                    if not side.needs:
                        raise
                    said.append(f"{side.name} left out: {error}")
                    racing.remove(side)
                bar.advance()
    rated = racing[0] is sides[0] or bool(racing[0].needs)  # genrev is not compared with itself
    rows = compared([(side, costs[side.name]) for side in racing], rated=rated)
    return Table(title, rows, (*notes, *said, *NOTES))


def missing(side: Side) -> str:
    """Return a sentence that says which packages of the side are not installed, and how to get them; '' if it can run."""
    lacking = [to_install for module, to_install in side.needs.items() if not installed(module)]
    return f"{side.name} left out because it is not installed; run pip install {' '.join(lacking)}" if lacking else ""


def spend(side: Side, threads: int, earlier: Path) -> Cost:
    """Run the program once and return its cost. What an earlier run left is first moved into the folder `earlier`.

    It is not deleted: in the minutes after thousands of files are, ext4 needs 0.5 ms of CPU time for each new one.
    threads: 0 leaves the number to the program. Raises UnavailableError with the last line of stderr if it fails.
    """
    for path in side.clean:
        if path.exists():
            shutil.move(path, mkdtemp(dir=earlier))
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)) if threads else {}
    with TemporaryDirectory() as scratch:
        report = Path(scratch, "cost.json")
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(LAUNCH), str(report), *side.command],
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **counts, **side.environment},
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UnavailableError(f"{side.name} ended with exit code {done.returncode}: {last}")
        cost = json.loads(report.read_text(encoding="utf-8"))
    return Cost(cost["seconds"], cost["cpu_seconds"], cost["peak_kb"] * 1024 / 1e6, done.stdout)


def compared(costs: Sequence[tuple[Side, Sequence[Cost]]], *, rated: bool = True) -> list[dict[str, Any]]:
    """Return a row per side; if `rated`, with ratios to another side. The ratio of a round compares runs that follow each other closely.

    A side whose opponent is missing is compared with the first.
    """
    named = {side.name: own for side, own in costs}
    first = costs[0][0].name
    opponents = [side.against if side.against in named else first for side, _ in costs]
    return [_row(side, own, (name, named[name]) if rated else None) for (side, own), name in zip(costs, opponents, strict=True)]


def _row(side: Side, own: Sequence[Cost], opponent: tuple[str, Sequence[Cost]] | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "variant": side.name,
        "cpu_seconds": median(cost.cpu_seconds for cost in own),
        "seconds": median(cost.seconds for cost in own),
        "peak_mb": max(cost.peak_mb for cost in own),
    }
    if opponent:
        name, baseline = opponent
        cpu = [theirs.cpu_seconds / ours.cpu_seconds for theirs, ours in zip(baseline, own, strict=True)]
        wall = [theirs.seconds / ours.seconds for theirs, ours in zip(baseline, own, strict=True)]
        row |= {"against": name, "ratio_cpu": median(cpu), "ratio_cpu_min": min(cpu), "ratio_cpu_max": max(cpu), "target": side.target}
        row |= {"ratio": median(wall), "ratio_min": min(wall), "ratio_max": max(wall)}
    return row | side.judge(own[-1].stdout)
