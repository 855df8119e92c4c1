"""One trial of a search: a folder with a recipe, and a run of each training command in it, by the functions of the commands."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.files.atomic import write_text
from genrev_cli.progress import Progress, Task
from genrev_cli.recipes.toml import to_toml
from genrev_cli.runs import adversarial
from genrev_cli.runs.resume import run_folder
from genrev_cli.runs.train import train
from genrev_cli.search.plan import Plan
from genrev_cli.search.space import Choices, Numbers
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.trainers import TRAINERS
from genrev_cli.training.log import read_log

RECIPE = "recipe.toml"


class Watch(Progress):
    """Passes everything on, and calls `see` with each value of the metric before the last step. see: (step, value) → None."""

    def __init__(self, progress: Progress, metric: str, last: int, see: Callable[[int, float], None]) -> None:
        self.inner, self.metric, self.last, self.see = progress, metric, last, see

    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        with self.inner.task(title, total, unit, done) as task:
            yield task

    def note(self, message: str) -> None:
        self.inner.note(message)

    def logged(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        self.inner.logged(step, kind, values)
        value = values.get(self.metric)
        if isinstance(value, int | float) and math.isfinite(value) and 0 < step < self.last:
            self.see(step, value)


def checkpoint_of(folder: Path, commands: tuple[str, ...]) -> Path:
    """Return the path of the checkpoint that a trial ends with."""
    return folder / f"{commands[-1]}.safetensors"


def run_trial(
    plan: Plan, folder: Path, values: dict[str, Any], *, run: RunOptions, metric: str, progress: Progress,
    see: Callable[[int, float], None],
) -> float:  # fmt: skip
    """Train with these values in a folder, from where an earlier run stopped, and return the metric after the last step.

    see: called with (images so far, value) whenever the last command measures the metric before its end; what it raises ends the trial.
    Raises DivergedError if the metric was not measured at the end, UsageError for values that do not go together and for a metric that
    the log does not have, and what training raises.
    """
    extent, title = plan.extent(values), [f"A trial of {plan.space.raw.file.name}: {said(plan, values)}."]
    write_text(folder / RECIPE, to_toml(title, plan.tables(values)))
    ckpt: Path | None = None
    for command in plan.commands:
        out, last = folder / f"{command}.safetensors", command == plan.commands[-1]
        options = run if last else run.scored(EvalOptions())
        listener = Watch(progress, metric, extent.steps, lambda step, value: see(step * extent.images, value)) if last else progress
        if ckpt is None:
            train(TRAINERS[command], plan.data, out, recipe=str(folder / RECIPE), overrides={}, run=options, progress=listener)
        else:
            adversarial.train_adversarial(ckpt, out, data=plan.data, overrides={}, run=options, progress=listener)
        ckpt = out
    return _last_value(log_of(folder, plan.commands[-1]), metric, extent.steps)


def log_of(folder: Path, command: str) -> list[dict[str, Any]]:
    """Return the lines of the log of one command of a trial; [] before its first."""
    return read_log(run_folder(folder / f"{command}.safetensors") / "log.jsonl")


def seconds_of(folder: Path, commands: tuple[str, ...]) -> float:
    """Return how long the commands of a trial have trained, by their logs."""
    return sum(next((line["seconds"] for line in reversed(log_of(folder, name)) if "seconds" in line), 0.0) for name in commands)


def curve_of(folder: Path, command: str, metric: str, images: int) -> list[tuple[float, float]]:
    """Return (images so far, value) of every finite value of the metric in the log of a trial's last command, from its first step on."""
    lines = [line for line in log_of(folder, command) if isinstance(line.get(metric), int | float) and line["step"]]
    return [(line["step"] * images, line[metric]) for line in lines if math.isfinite(line[metric])]


def said(plan: Plan, values: Mapping[str, Any]) -> str:
    """Return values as text: 'pretrain-recon.lr 0.0012, prior.dim 8, model.scales #2 of 3'."""
    return ", ".join(f"{one.name} {_said(one.values, values[one.name])}" for one in plan.space.ranges)


def _said(allowed: Numbers | Choices, value: Any) -> str:
    if isinstance(value, list | dict) and isinstance(allowed, Choices):
        return f"#{allowed.values.index(value) + 1} of {len(allowed.values)}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _last_value(log: list[dict[str, Any]], metric: str, steps: int) -> float:
    found = [line for line in log if metric in line]
    if not found:
        names = dict.fromkeys(name for line in log for name, value in line.items() if isinstance(value, float) and name != "seconds")
        raise UnknownMetric(f"--metric {metric}: the log has no such number; it has {', '.join(names)}")
    value = found[-1][metric]
    if found[-1]["step"] < steps or not math.isfinite(value):
        raise DivergedError(f"{metric} could not be measured after the last step")
    return float(value)


class UnknownMetric(UsageError):
    """No trial can have the metric, so the search ends."""
