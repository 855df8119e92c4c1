"""train-flow: images → an invertible network that gives them a likelihood (A7, E)."""

from pathlib import Path
from typing import Any

from genrev_cli.methods.likelihood import LikelihoodConfig, MaximumLikelihood
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.job import RunOptions
from genrev_cli.stages.planning import job_from_images
from genrev_cli.stages.training import run_job

STAGE = "train-flow"


def train_flow(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train an invertible network and the scales of its prior by maximum likelihood and write a checkpoint.

    recipe: '' is the one for the data's source. overrides: table → key → value, over the recipe's.
    Raises FileError for unusable data, UsageError for unusable settings or a network without a likelihood, and what `run_job` raises.
    """
    job = job_from_images(data, STAGE, "flow", LikelihoodConfig, MaximumLikelihood, recipe=recipe, overrides=overrides)
    return run_job(job, out, run, progress)
