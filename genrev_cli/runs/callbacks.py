"""What a run does between training steps: rank 0 writes the log, measures, scores, draws previews and saves."""

import math
from contextlib import suppress
from typing import Any, final

from genrev_cli.errors import DivergedError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.models import Bijection
from genrev_cli.progress import Progress
from genrev_cli.runs.evaluation import Evaluator
from genrev_cli.runs.execution import uncompiled
from genrev_cli.runs.previews import discard, thin
from genrev_cli.runs.resume import best_file
from genrev_cli.runs.state import RunState
from genrev_cli.runs.trackers import Tracker
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.training.guard import warnings_of
from genrev_cli.training.log import Log
from genrev_cli.training.loop import Hooks
from genrev_cli.training.method import parts_of


@uncompiled
def score(evaluator: Evaluator, state: RunState) -> float:
    """Return the score of the current weights; all ranks have to call it together. Raises DivergedError."""
    return evaluator(*parts_of(state.trained))


def hooks_beside(evaluator: Evaluator | None, state: RunState) -> Hooks:
    """Return the hooks of the ranks beside rank 0: they take part in each evaluation, which rank 0 reports."""

    def evaluate(step: int) -> None:
        if evaluator:
            with suppress(DivergedError):
                score(evaluator, state)

    return Hooks(evaluate=evaluate)


@final
class Callbacks:
    """The callbacks of rank 0. start: the step at which the run starts or is resumed; later previews and log lines are removed.

    evaluator: None where the run is not scored.
    """

    def __init__(self, state: RunState, evaluator: Evaluator | None, start: int, *, options: RunOptions, progress: Progress) -> None:
        self._state, self._evaluator, self._options, self._progress = state, evaluator, options, progress
        job, path = state.job, state.folder / "log.jsonl"
        self._log = Log(path, start or -1)  # -1: no line of an earlier run stays
        self._previews = state.folder / "previews"
        self._monitor = job.monitor(job.images, job.schedule.seed, state.device, self._previews)
        discard(self._previews, start)
        self._tracker = (
            Tracker(options.tracker, state.out, state.folder, job.identity, start=start, note=progress.note) if options.tracker else None
        )
        self._warned: set[str] = set()
        self._best = self._best_before()

    def _best_before(self) -> dict[str, Any]:
        """Return the best score of the resumed run and its step, from the header of the best checkpoint; {} for a run without scores."""
        path = best_file(self._state.out)
        if not (self._evaluator and path.exists()):
            return {}
        header = read_checkpoint_header(path)
        label, kept = self._evaluator.label, header.config["score"]
        if label not in kept or not self._evaluator.protocol.items() <= kept.items():
            self._progress.note(f"{path}: its score was measured otherwise; the best is chosen among those measured as now")
            return {}
        return {label: kept[label], "step": header.step}

    def hooks(self) -> Hooks:
        """Return the functions that the loop calls."""
        return Hooks(log=self.write, monitor=self.measure, preview=self.preview, evaluate=self.evaluate, save=self.save)

    def close(self) -> None:
        """Close the log and the tracker."""
        self._log.close()
        if self._tracker:
            self._tracker.close()

    def _record(self, step: int, kind: str, **values: Any) -> None:
        """Write a line to the log, and send it to the tracker and to the progress."""
        self._log.write(step, kind=kind, seconds=round(self._state.seconds(), 3), **values)
        if self._tracker:
            self._tracker.record(step, kind, values)
        self._progress.logged(step, kind, values)

    def numbers(self) -> dict[str, float]:
        """Return the monitor's numbers for the current weights, and the best score."""
        return self._measured() | {f"best_{name}": value for name, value in self._best.items()}

    def evaluate(self, step: int) -> None:
        """Score samples, and keep the checkpoint if its score is the best so far."""
        if not self._evaluator:
            return
        label, protocol = self._evaluator.label, self._evaluator.protocol
        try:
            found = {label: score(self._evaluator, self._state)}
        except DivergedError as error:  # a network can overflow early in training, and recover
            self._progress.note(f"step {step} is not scored: {error}")
            return
        self._record(step, "eval", **protocol, **found)
        if found[label] < self._best.get(label, math.inf):
            self._best = {**found, "step": step}
            self._log.sync()  # after a power cut the best checkpoint must not be newer than the log
            self._state.write_checkpoint(best_file(self._state.out), step, score={**found, **protocol})

    def save(self, step: int) -> None:
        """Write the state to resume from. The log is flushed first: after a power cut it must not be shorter than the state."""
        self._log.sync()
        self._state.save(step)

    def write(self, step: int, means: dict[str, float]) -> None:
        """Write a line of losses to the log."""
        self._record(step, "loss", **means)
        self._warn(step, means)

    def measure(self, step: int) -> None:
        """Measure the current weights on held-out images, and write a line to the log."""
        numbers = self._measured()
        self._record(step, "monitor", **numbers)
        self._warn(step, numbers)

    @uncompiled
    def _measured(self) -> dict[str, float]:
        return self._monitor.numbers(self._state.method, self._state.trained)

    def _warn(self, step: int, numbers: dict[str, float]) -> None:
        """Show each kind of warning about the method or the inverse once."""
        model, precision = getattr(self._state.method, "autoencoder", None), self._state.job.schedule.precision
        found = self._state.method.warnings(numbers)
        if isinstance(model, Bijection):
            found |= warnings_of(numbers, model, precision)
        for kind, sentence in found.items():
            if kind not in self._warned:
                self._warned.add(kind)
                self._progress.note(f"step {step}: {sentence}")

    @uncompiled
    def preview(self, step: int) -> None:
        """Draw preview pictures, and remove those that are not kept any more."""
        self._monitor.preview(step, self._state.trained, self._state.made_by())
        if self._tracker:
            self._tracker.pictures(step, sorted(self._previews.glob(f"step-{step:07d}-*.png")))
        thin(self._previews, step, self._options.preview_every)
