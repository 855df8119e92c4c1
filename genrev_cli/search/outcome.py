"""Read what the trials of a search found, for its page and for the terminal."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.recipes.rules.rule import Reasoned
from genrev_cli.recipes.toml import to_toml
from genrev_cli.report.chain import Record
from genrev_cli.report.searched import COMPLETE, FAILED, PRUNED, RUNNING, Parameter, Searched, Trial
from genrev_cli.search.plan import Plan
from genrev_cli.search.space import Choices, Range, Tables
from genrev_cli.search.study import Study
from genrev_cli.search.trials import checkpoint_of, curve_of, seconds_of
from genrev_cli.settings.trainers import TRAINERS

BEST, PAGE = "best.toml", "search.html"

_STATES = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAILED}
_FEWEST = 4  # complete trials; a forest of fewer says nothing


def outcome(study: Study, plan: Plan, metric: str, conditions: dict[str, str]) -> Searched:
    """Return what the trials found so far."""
    found = study.trials()
    trials = [_trial(study, plan, one, metric) for one in found]
    searched = Searched(
        metric, study.settings.better, [_parameter(one) for one in study.ranges], trials,
        importance=_importance(study.study, found), toml="", again="", conditions=conditions,
    )  # fmt: skip
    if searched.best is None:
        return searched
    best = found[searched.best.number]
    first, *others = plan.commands
    again = f"genrev {first} --data {shlex.quote(str(plan.data))} --recipe {shlex.quote(str(study.folder / BEST))}"
    again += "".join(f" && genrev {command} --ckpt {TRAINERS[first].out}" for command in others)
    return replace(searched, toml=_best_toml(study, plan, best, metric, again=again), again=again)


def records(study: Study, plan: Plan, search: Searched) -> list[Record]:
    """Return the data, and the checkpoint of the best trial if it is still there."""
    found = [Record(plan.data, plan.images.header)]
    if search.best is not None:
        path = checkpoint_of(study.trial_folder(search.best.number), plan.commands)
        if path.exists():
            found.append(Record(path, read_checkpoint_header(path)))
    return found


def _trial(study: Study, plan: Plan, one: FrozenTrial, metric: str) -> Trial:
    folder, values = study.trial_folder(one.number), dict(one.params)
    images = one.user_attrs.get("images", 0)
    complete = one.state == TrialState.COMPLETE
    return Trial(
        one.number, _STATES.get(one.state, RUNNING), one.value if complete else None, values,
        curve=curve_of(folder, plan.commands[-1], metric, images) if images else [],
        seconds=one.user_attrs.get("seconds") or seconds_of(folder, plan.commands),
        size=one.user_attrs.get("parameters", 0), error=one.user_attrs.get("error", ""),
    )  # fmt: skip


def _parameter(one: Range) -> Parameter:
    if isinstance(one.values, Choices):
        return Parameter(one.name, str(one.values), tuple(one.values.labels))
    return Parameter(one.name, str(one.values), low=one.values.low, high=one.values.high, log=one.values.log)


def _importance(study: optuna.Study, found: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return parameter → share of the variance, by fANOVA; {} for few trials, and where all have the same value."""
    values = {one.value for one in found if one.state == TrialState.COMPLETE}
    if sum(one.state == TrialState.COMPLETE for one in found) < _FEWEST or len(values) < 2:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def _best_toml(study: Study, plan: Plan, best: FrozenTrial, metric: str, *, again: str) -> str:
    """Return the recipe of the best trial, with a remark beside what was searched."""
    tables: Tables = plan.tables(study.values_of(best))
    for one in study.ranges:
        table, key = str(one.place[0]), str(one.place[1])
        entry: Any = tables[table][key]
        if not isinstance(entry, Reasoned):
            why = f"searched: {one.values}" if len(one.place) == 2 and not isinstance(entry, list | dict) else "searched"
            tables[table][key] = Reasoned(entry, why)
    of = f"{len(study.trials())} trials of {plan.space.raw.file.name} on {plan.data.name}"
    return to_toml([f"The best of {of}: trial {best.number}, {metric} {best.value:.6g}.", f"To train it again: {again}"], tables)


def pages_of(folder: Path) -> tuple[Path, Path]:
    """Return the paths of the best recipe and of the page of a search."""
    return folder / BEST, folder / PAGE
