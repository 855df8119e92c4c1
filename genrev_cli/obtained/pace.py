"""Measure the seconds of a training step, and plan as many steps as fit into a number of minutes.

A step is timed as the difference between two runs of the real command that make different numbers of steps, so that the start of the
process does not count. On a CPU these are CPU seconds, which other jobs on the machine hardly change; on a GPU seconds of a clock.
"""

import json
import math
import os
import platform
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.files.atomic import write_text
from genrev_cli.invocation import cores

LEAST_SECONDS = 4.0
"""The steps of a measurement take at least this long, because the start of a process varies by some tenths of a second."""
MOST_STEPS = 4096
WARM = 5
"""The warm-up is at most this part of the steps: 1/5, as in the rule of PGA. A recipe's may be longer than a short run."""

Cost = Callable[[int], float]
"""Number of steps → seconds of a run that makes them."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long a training command may and does take here.

    steps: planned for these minutes. seconds: of a step; first_seconds: of each of the first `warm_up` steps. recipe_steps, recipe_warm_up:
    what the recipe would make. options: of the training command. clock: 'cpu' for CPU seconds, else 'wall'. cores: that were free to use,
    with `threads` in each process; '' if not set.
    """

    steps: int
    minutes: float
    seconds: float
    first_seconds: float
    warm_up: int
    recipe_steps: int
    clock: str
    cpu: str
    cores: int
    threads: str
    options: str
    recipe_warm_up: int

    @property
    def planned_minutes(self) -> float:
        """Return the minutes that the planned steps take."""
        first = min(self.steps, self.warm_up)
        return (first * self.first_seconds + (self.steps - first) * self.seconds) / 60


def steps_within(minutes: float, seconds: float, *, first_seconds: float = 0.0, warm_up: int = 0) -> int:
    """Return how many steps fit: n = W + (60·minutes − W·c₀) / c₁ if W steps of c₀ seconds fit, else 60·minutes / c₀; at least 1.

    seconds: c₁, of a step. first_seconds, warm_up: c₀, of each of the first W steps.
    """
    left = 60 * minutes - warm_up * first_seconds
    found = warm_up + left / seconds if left >= 0 else 60 * minutes / first_seconds
    return max(1, int(found))


def planned(minutes: float, seconds: float, *, first_seconds: float, warm_up: int) -> tuple[int, int]:
    """Return the steps that fit, and how many of them are the warm-up: W of the recipe, or a fifth of the steps if that is less."""
    steps = steps_within(minutes, seconds, first_seconds=first_seconds, warm_up=warm_up)
    if WARM * warm_up <= steps:
        return steps, warm_up
    steps = steps_within(minutes, (first_seconds + (WARM - 1) * seconds) / WARM)
    return steps, steps // WARM


def seconds_per_step(cost: Cost) -> float:
    """Return the seconds of a step: (cost(n + 1) − cost(1)) / n, with n so large that these steps take LEAST_SECONDS; at first n = 4."""
    once, n = cost(1), 4
    while (taken := cost(n + 1) - once) < LEAST_SECONDS and n < MOST_STEPS:
        enough = math.ceil(1.3 * LEAST_SECONDS * n / max(taken, 1e-6))
        n = min(max(enough, 2 * n), 64 * n, MOST_STEPS)
    return max(taken, 1e-6) / n


def measure(command: Sequence[str], *, minutes: float, warm_up_off: str, device: str) -> Pace:
    """Return the pace of a training command, given as words without --steps and --out.

    warm_up_off: the option with which the command skips its warm-up; '' if all its steps are alike. Raises UsageError if the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = json.loads(_output([*command, "--dry-run", "--json", "--out", f"{folder}/plan.safetensors"]))
        plain = seconds_per_step(lambda steps: _cost(command, steps, folder, device))
        recipe_warm_up, later = int(plan["method"].get("warm_up", 0)) if warm_up_off else 0, plain
        if recipe_warm_up:
            later = seconds_per_step(lambda steps: _cost([*command, *shlex.split(warm_up_off)], steps, folder, device))
    steps, warm_up = planned(minutes, later, first_seconds=plain, warm_up=recipe_warm_up)
    shorter = f" {shlex.split(warm_up_off)[0]} {warm_up}" if warm_up < recipe_warm_up else ""
    return Pace(
        steps=steps,
        options=f"--steps {steps}{shorter}",
        minutes=minutes,
        seconds=later,
        first_seconds=plain,
        warm_up=warm_up,
        recipe_warm_up=recipe_warm_up,
        recipe_steps=plan["steps"],
        clock=_clock(device),
        cpu=_cpu(),
        cores=cores(),
        threads=os.environ.get("OMP_NUM_THREADS", ""),
    )


def _clock(device: str) -> str:
    return "cpu" if device == "cpu" else "wall"


def _cost(command: Sequence[str], steps: int, folder: str, device: str) -> float:
    """Return the seconds of a run from its start: of the CPU in the process and its children, or of the clock."""
    before, began = os.times(), time.perf_counter()
    _output([*command, "--steps", str(steps), "--restart", "--out", f"{folder}/{steps}.safetensors"])
    after, ended = os.times(), time.perf_counter()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used if _clock(device) == "cpu" else ended - began


def _output(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UsageError(f"{shlex.join(words)}: ended with exit code {done.returncode}: {last}")
    return done.stdout


def _cpu() -> str:
    """Return the name of the CPU, as Linux knows it, else that of the platform."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def write_pace(path: Path, pace: Pace) -> None:
    """Write a pace as JSON."""
    write_text(path, json.dumps(asdict(pace), indent=2) + "\n")


def read_pace(path: Path) -> Pace:
    """Return a pace that `write_pace` wrote. Files of earlier versions have no options and no shorter warm-up."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Pace(**{"options": f"--steps {found['steps']}", "recipe_warm_up": found["warm_up"], **found})
