"""Pruners: which trials end early."""

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from genrev_cli.search.plan import Extent
from genrev_cli.settings.search import SearchSettings


class CurveMedian(optuna.pruners.BasePruner):
    """End a trial whose best value so far is worse than the median of the others' best values after as many images.

    Golovin et al. 2017 have a similar rule with running means (section 3.2.2, recalled). Trials with other batches are measured after
    other numbers of images, so the others' curves are interpolated. least: number of complete trials whose curves reach this far, before
    any trial ends.
    """

    def __init__(self, least: int) -> None:
        self.least = least

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return True if the trial has to end."""
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        images, own = _best_so_far(trial, sign)
        others = [_best_so_far(one, sign) for one in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
        there = [np.interp(images[-1], x, y) for x, y in others if len(x) and x[0] <= images[-1] <= x[-1]] if len(images) else []
        return len(there) >= self.least and bool(own[-1] > np.median(there))


def _best_so_far(trial: FrozenTrial, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of images after which a trial was measured, and the smallest of sign · value up to each."""
    points = sorted(trial.intermediate_values.items())
    return np.array([images for images, _ in points]), np.minimum.accumulate(np.array([sign * value for _, value in points]))


def pruner_of(settings: SearchSettings, extents: list[Extent], every: int) -> optuna.pruners.BasePruner:
    """Return the pruner that is asked for. extents: of some trials, for the budgets of hyperband. every: steps between two values."""
    if settings.pruner == "median":
        return CurveMedian(settings.prune_after)
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    least, most = min(extent.images for extent in extents) * every, max(extent.images * extent.steps for extent in extents)
    return optuna.pruners.HyperbandPruner(min_resource=min(least, most), max_resource=most)
