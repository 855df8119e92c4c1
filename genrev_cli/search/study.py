"""The trials of a search in one file, Optuna's journal, which several processes and machines share."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.lock import locked
from genrev_cli.runs.resume import differences
from genrev_cli.search.space import Choices, Range
from genrev_cli.search.trials import RECIPE
from genrev_cli.seeds import derive
from genrev_cli.settings.search import HIGHER, SearchSettings

JOURNAL, TRIALS = "journal.log", "trials"
_NAME, _IDENTITY = "genrev", "identity"
_STARTUP = 10  # Optuna's own number of random proposals before TPE starts

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Taken:
    """A trial that this process runs. resumed: True if another process, which has ended, began it."""

    trial: Trial
    values: dict[str, Any]
    folder: Path
    resumed: bool


@final
class Study:
    """The trials of a folder.

    Raises UsageError if the folder holds a search with another `identity`, a JSON table, and FileError if its file is damaged.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], settings: SearchSettings, ranges: list[Range], *, pruner: optuna.pruners.BasePruner
    ) -> None:
        self.folder, self.settings, self.ranges = folder, settings, ranges
        path, direction = folder / JOURNAL, StudyDirection.MAXIMIZE if settings.better == HIGHER else StudyDirection.MINIMIZE
        with self._asking():
            lock = JournalFileOpenLock(str(path))
            try:
                _mend(path, lock)
                storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
                there = _NAME in optuna.get_all_study_names(storage)  # creating it again would add a line to the file
                if there:
                    self.study = optuna.load_study(study_name=_NAME, storage=storage, pruner=pruner)
                else:
                    self.study = optuna.create_study(study_name=_NAME, storage=storage, direction=direction, pruner=pruner)
                before = self.study.user_attrs.get(_IDENTITY)
            except (ValueError, KeyError) as error:
                raise FileError(f"{path}: damaged, or not made by genrev search ({error}); choose another --out") from error
            if before is None:
                self.study.set_user_attr(_IDENTITY, identity)
            elif changed := sorted(differences(before, json.loads(json.dumps(identity)), {})):
                raise UsageError(
                    f"{folder}: was searched with other settings ({', '.join(changed)}); use --restart to discard it, or another --out"
                )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Let one process at a time count trials and take one."""
        with locked(self.folder / "asking.lock", self.folder, wait=True):
            yield

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by their numbers."""
        return self.study.get_trials(deepcopy=False)

    @contextmanager
    def take(self) -> Iterator[Taken | None]:
        """Yield the trial to run next, and hold its lock: one that another process left unfinished, else a new one; None at the end."""
        with ExitStack() as held:
            with self._asking():
                found = self.trials()
                taken = self._left(found, held)
                if taken is None and len(found) < self.settings.trials:
                    self.study.sampler = self._sampler(len(found))
                    trial = self.study.ask()
                    taken = Taken(trial, self._suggested(trial), self.trial_folder(trial.number), False)
                    held.enter_context(locked(taken.folder / "lock", taken.folder))
            yield taken

    def _left(self, found: list[FrozenTrial], held: ExitStack) -> Taken | None:
        """Return an unfinished trial whose process has ended."""
        for one in found:
            folder = self.trial_folder(one.number)
            if not one.state.is_finished() and self._free(folder, held):
                self.study.sampler = self._sampler(one.number)
                trial = Trial(self.study, one._trial_id)  # Optuna has no public way to go on with a trial
                return Taken(trial, self._suggested(trial), folder, (folder / RECIPE).exists())
        return None

    def _free(self, folder: Path, held: ExitStack) -> bool:
        """Take the lock of a trial; return False if its process still has it."""
        try:
            held.enter_context(locked(folder / "lock", folder))
        except UsageError:
            return False
        return True

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Return the sampler of a trial. Its proposal depends only on the seed, the number, and the trials before."""
        seed = derive(self.settings.seed, "search", number) % 2**32
        if self.settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)

    def _suggested(self, trial: Trial) -> dict[str, Any]:
        """Return name of a range → value. A trial that has values keeps them."""
        return {one.name: _suggest(trial, one) for one in self.ranges}

    def values_of(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return name of a range → value of a trial; {} for one that was never proposed any."""
        choices = {one.name for one in self.ranges if isinstance(one.values, Choices)}
        return {name: json.loads(value) if name in choices else value for name, value in trial.params.items()}

    def trial_folder(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / TRIALS / f"{number:04d}"

    def report(self, trial: Trial, images: int, value: float) -> bool:
        """Tell a value of the metric after a number of images; return True if the trial has to end."""
        if images not in self.study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(value, images)
        return trial.should_prune()

    def best(self) -> dict[str, float]:
        """Return {'best': the best value so far}, {} before the first one."""
        found = [one.value for one in self.trials() if one.state == TrialState.COMPLETE and one.value is not None]
        return {"best": (max if self.settings.better == HIGHER else min)(found)} if found else {}

    def tell(self, trial: Trial, value: float | None, state: TrialState, **facts: Any) -> None:
        """End a trial. facts: kept with it."""
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        self.study.tell(trial, value, state=state)


def _suggest(trial: Trial, one: Range) -> Any:
    values = one.values
    if isinstance(values, Choices):
        return json.loads(trial.suggest_categorical(one.name, values.labels))
    if values.whole:
        return trial.suggest_int(one.name, int(values.low), int(values.high), step=int(values.step) or 1, log=values.log)
    return trial.suggest_float(one.name, values.low, values.high, step=values.step or None, log=values.log)


def _mend(path: Path, lock: JournalFileOpenLock) -> None:
    """Cut off a last line that a crash left unfinished; the next one would be appended to it, and make the whole file unreadable."""
    if not path.exists():
        return
    lock.acquire()
    try:
        with path.open("r+b") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
                os.fsync(file.fileno())
    finally:
        lock.release()
