"""search: train a network with many settings, and keep the best; several processes may work in one folder."""

import json
import shutil
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genrev_cli.errors import DivergedError, FileError, UnavailableError, UsageError
from genrev_cli.files.lock import locked
from genrev_cli.files.targets import check_target, require_writable
from genrev_cli.progress import SILENT, Progress
from genrev_cli.report.searched import Searched, shown_in
from genrev_cli.report.words import QUANTITIES
from genrev_cli.result import Result
from genrev_cli.runs.evaluation import Evaluator
from genrev_cli.runs.trackers import require_tracker
from genrev_cli.search.asked import Asked
from genrev_cli.search.plan import Extent, Plan, plan_search
from genrev_cli.search.trials import UnknownMetric, run_trial, said, seconds_of
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.search import SearchSettings
from genrev_cli.training.devices import resolve_device

if TYPE_CHECKING:
    from genrev_cli.search.study import Study, Taken

_SHOWN = 12  # trials in the table of the terminal


def search(space: Path, data: Path, out: Path, settings: SearchSettings, *, run: RunOptions, progress: Progress = SILENT) -> Result:
    """Train trials of a space in the folder `out` until it has as many as are asked for; write best.toml and search.html there.

    A second process with the same arguments shares the work. Run again, it goes on: finished trials are kept, and those whose process has
    ended go on from their last save. A trial that diverges, or whose settings do not go together, counts as failed.
    Raises UnavailableError without Optuna, UsageError for a space that cannot be searched, for a folder with another search, and where all
    trials failed; FileError for unusable files; and InterruptedRun like training.
    """
    start = time.perf_counter()
    plan, extents = plan_search(space, data)
    if plan.base.reason:
        progress.note(f"{plan.base.reason}: the base of the search is {plan.base.name}")
    if not settings.metric and not run.evaluation.every:
        raise UsageError("--eval-every 0: a search compares scores; pass --eval-every N, or a number of the log as --metric NAME")
    _check_metric(settings.metric)
    if run.dry_run:
        return Result(None, _planned(plan, extents, settings))
    _require(run)
    _check_folder(out, [space, data])
    device = resolve_device(run.device)
    scored = run.evaluation.every and not settings.metric  # opened here, so that missing weights end the search and not every trial
    label = Evaluator(run.evaluation, plan.images, 0, device, progress=progress).label if scored else settings.metric
    if run.restart:
        _discard(out)
    asked = Asked(plan=plan, out=out, settings=settings, run=replace(run, restart=False), metric=label)
    return _searched(asked, extents, start, progress)


def _searched(asked: Asked, extents: list[Extent], start: float, progress: Progress) -> Result:
    """Run trials until there are enough."""
    from genrev_cli.search.pruning import pruner_of
    from genrev_cli.search.study import Study
    from genrev_cli.search.writer import Writer

    settings, run = asked.settings, asked.run
    every = run.monitor_every if settings.metric else run.evaluation.every
    pruner = pruner_of(settings, extents, every)
    study = Study(asked.out, asked.identity, settings, asked.plan.space.ranges, pruner=pruner)
    finished, ran = sum(one.state.is_finished() for one in study.trials()), 0
    writer = Writer(asked, study, start)
    if not (asked.out / "search.html").exists():
        writer.write()
    with progress.task("search", settings.trials, "trials", done=min(finished, settings.trials)) as bar:
        while True:
            with study.take() as taken:
                if taken is None:
                    break
                _carried_out(asked, study, taken, progress=progress)
            ran += 1
            if writer.due():
                writer.write()
            bar.advance(1, **study.best())
    return _ended(asked, writer.write() if ran else writer.outcome(), ran, progress)


def _ended(asked: Asked, found: Searched, ran: int, progress: Progress) -> Result:
    """Say how the search ended, and return its result."""
    from genrev_cli.search.outcome import pages_of

    best, page = pages_of(asked.out)
    running = found.counts.get("running", 0)
    if running:
        progress.note(f"{running} trials are still running in other processes, which complete the page")
    elif found.best is None:
        first = next(trial for trial in found.trials if trial.error)
        raise UsageError(f"{asked.out}: none of {len(found.trials)} trials is complete; trial {first.number}: {first.error}")
    elif not ran:
        progress.note(f"{asked.out} is complete ({len(found.trials)} trials); nothing to do (a larger --trials adds some)")
    if found.best is not None:
        progress.note(f"the settings of the best trial are in {best}")
    page.touch()  # so that make sees that it is up to date
    return Result(page, _numbers(asked, found))


def _carried_out(asked: Asked, study: "Study", taken: "Taken", *, progress: Progress) -> None:
    """Run one trial to its end, and record how it ended."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    trial, commands = taken.trial, asked.plan.commands
    progress.note(f"trial {trial.number}{', which goes on' if taken.resumed else ''}: {said(asked.plan, taken.values)}")

    def see(images: int, value: float) -> None:
        if study.report(trial, images, value):
            raise TrialPruned(f"after {images:,} images")

    value, state, error = None, TrialState.FAIL, ""
    try:
        extent = asked.plan.extent(taken.values)
        for name, fact in (("images", extent.images), ("parameters", extent.parameters)):
            trial.set_user_attr(name, fact)
        value = run_trial(asked.plan, taken.folder, taken.values, run=asked.run, metric=asked.metric, progress=progress, see=see)
        state = TrialState.COMPLETE
    except TrialPruned as pruned:
        state, error = TrialState.PRUNED, str(pruned)
    except UnknownMetric:
        raise
    except (DivergedError, UsageError, UnavailableError) as failed:
        error = str(failed)
    study.tell(trial, value, state, seconds=seconds_of(taken.folder, commands), error=error)
    outcome = f"{asked.metric} {value:.6g}" if value is not None else f"{state.name.lower()}: {error}"
    progress.note(f"trial {trial.number}: {outcome}")


def _numbers(asked: Asked, found: Searched) -> dict[str, Any]:
    """Return the result: the best trial, counts, and a table of the best trials."""
    rows = [
        {"trial": trial.number, "state": trial.state, asked.metric: trial.value}
        | {parameter.name: shown_in(parameter, trial) for parameter in found.parameters}
        | {"seconds": trial.seconds}
        for trial in found.ranked[:_SHOWN]
    ]  # fmt: skip
    more = len(found.trials) - len(rows)
    notes = [f"{parameter.name}: {parameter.allowed}" for parameter in found.parameters if parameter.numbered]
    notes += [f"{more} more trials are on the page"] * bool(more)
    best = None
    if found.best:
        choices = {parameter.name for parameter in found.parameters if parameter.choices}
        values = {name: json.loads(value) if name in choices else value for name, value in found.best.values.items()}
        best = {"trial": found.best.number, "value": found.best.value, "settings": values}
    table = {"title": f"Trials by {asked.metric}", "rows": rows, "notes": notes}
    return {"best": best, "trials": found.counts, "tables": [table], "conditions": asked.conditions}


def _planned(plan: Plan, extents: list[Extent], settings: SearchSettings) -> dict[str, Any]:
    """Return what a dry run prints."""
    rows = [{"setting": one.name, "values": str(one.values)} for one in plan.space.ranges]
    sizes, steps = sorted({extent.parameters for extent in extents}), sorted({extent.steps for extent in extents})
    return {
        "tables": [{"title": f"{settings.trials} trials of {plan.space.raw.file}", "rows": rows, "notes": []}],
        "conditions": {
            "Trains": ", then ".join(plan.commands),
            "Recipe": plan.base.name,
            "Steps of the last command": _span(steps),
            "Parameters": _span(sizes),
        },
    }


def _span(values: list[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _check_metric(metric: str) -> None:
    """Raise UsageError for a metric that looks like a misspelled one. Others may be those of a plugin."""
    import difflib

    close = difflib.get_close_matches(metric, QUANTITIES, 1, 0.8)
    if metric and metric not in QUANTITIES and close:
        raise UsageError(f"--metric {metric}: no number of the log has this name; did you mean '{close[0]}'?")


def _require(run: RunOptions) -> None:
    """Raise UnavailableError where a package is missing."""
    if find_spec("optuna") is None:
        raise UnavailableError("search needs optuna; run: pip install 'genrev-cli[search]'")
    require_tracker(run.tracker)


def _check_folder(out: Path, inputs: list[Path]) -> None:
    """Raise UsageError or FileError unless `out` can be the folder of a search: new, empty, or one already."""
    check_target(out / "search.html", "report", (".html",), inputs)
    if out.exists() and not out.is_dir():
        raise FileError(f"{out}: is no folder; choose another --out")
    if out.exists() and any(out.iterdir()) and not (out / "journal.log").exists():
        raise FileError(f"{out}: is a folder with other files, not a search; choose another --out")
    require_writable(out / "search.html", "choose another --out")


def _discard(out: Path) -> None:
    """Remove an earlier search. Raises UsageError while one of its trials is running."""
    for folder in sorted((out / "trials").glob("*")):
        with locked(folder / "lock", out):
            continue  # nobody runs it
    for name in ("journal.log", "best.toml", "search.html"):
        (out / name).unlink(missing_ok=True)
    if (out / "trials").is_dir():
        shutil.rmtree(out / "trials")
