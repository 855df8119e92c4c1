"""Settings of search: the table [search] of its file, and the options of the command."""

from dataclasses import dataclass

from genrev_cli.settings.base import METHOD, RUN, Settings, setting
from genrev_cli.settings.sizes import SIZES

SAMPLERS = ("tpe", "random")
"""tpe: tree-structured Parzen estimator (Bergstra et al. 2011), which learns from the trials before; random: draws that do not."""

PRUNERS = ("median", "hyperband", "none")
"""median: end a trial below the median of the others; hyperband: Li et al. 2018; none: train every trial to its end."""

LOWER, HIGHER = "lower", "higher"
ALL, BEST = "all", "best"


@dataclass(frozen=True)
class SpaceConfig(Settings):
    """The table [search] of a space: what is trained.

    train: training commands, each of which goes on from the checkpoint before. recipe: a name, a family or a file; '' as for --recipe.
    size: as --size-of-model.
    """

    train: tuple[str, ...] = setting()
    recipe: str = setting("")
    size: str = setting("", choices=("", *SIZES))


@dataclass(frozen=True, kw_only=True)
class SearchSettings(Settings):
    """How the space is searched."""

    trials: int = setting(20, "Number of trials in the folder, over all processes and runs of this command.", panel=METHOD, at_least=1)
    metric: str = setting("", "Number of the log to improve, such as l1_restricted.", panel=METHOD, shown="the score of --eval-every")
    better: str = setting(LOWER, "Which values of the metric are better.", panel=METHOD, choices=(LOWER, HIGHER))
    sampler: str = setting("tpe", "How settings are proposed: tpe learns from earlier trials; random does not.", choices=SAMPLERS)
    pruner: str = setting("median", "Which trials end early, by their scores so far.", choices=PRUNERS)
    prune_after: int = setting(4, "Complete trials before the median pruner ends one.", at_least=1)
    keep: str = setting(
        ALL, "Which trials keep their weights: all, or only the best; recipes and logs stay.", panel=RUN, choices=(ALL, BEST)
    )
    seed: int = setting(0, "Seed of the proposals. The seed of the weights is a key of the recipe.", panel=RUN)
