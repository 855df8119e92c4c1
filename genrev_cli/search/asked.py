"""What a search was asked to do."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genrev_cli.runs.monitor import held_out
from genrev_cli.search.plan import Plan
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.search import SearchSettings


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The task of a search. metric: its name in the log."""

    plan: Plan
    out: Path
    settings: SearchSettings
    run: RunOptions
    metric: str

    @property
    def identity(self) -> dict[str, Any]:
        """Return the settings that must be equal for another run of the command to go on in the same folder."""
        scores, raw = self.run.evaluation, self.plan.space.raw
        scored = {"n": scores.n, "split": scores.split, "features": scores.features} if not self.settings.metric else {}
        return {
            "space": {"search": asdict(raw.head), **plain(raw.tables)},
            "recipe": self.plan.base.tables,
            "data": self.plan.images.header.sha256,
            "metric": self.metric,
            "better": self.settings.better,
            **scored,
        }

    @property
    def conditions(self) -> dict[str, str]:
        """How the search was done, in words."""
        settings, scores = self.settings, self.run.evaluation
        found = {
            "Trains": ", then ".join(self.plan.commands),
            "Recipe": self.plan.base.name,
            "Metric": f"{self.metric} after the last step; {settings.better} is better",
        }
        if not settings.metric:
            found["Scores"] = f"{scores.n:,} samples, every {scores.every:,} steps, against {scores.split or held_out(self.plan.images)}"
        median = f"median, after {settings.prune_after} complete trials"
        found["Proposals"] = f"{settings.sampler}, seed {settings.seed}"
        found["Pruner"] = median if settings.pruner == "median" else settings.pruner
        return found


def plain(tables: dict[str, Any]) -> dict[str, Any]:
    """Return tables of a TOML file as JSON has them."""
    return json.loads(json.dumps(tables, default=str))
