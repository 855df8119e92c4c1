"""train-vae: images → a variational or Wasserstein autoencoder (E)."""

from pathlib import Path
from typing import Any

from genrev_cli.methods.variational import VARIANTS
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.job import RunOptions
from genrev_cli.stages.planning import chosen_variant, job_from_images, require_two_codes
from genrev_cli.stages.training import run_job

STAGE = "train-vae"


def train_vae(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train an autoencoder whose codes are drawn to the prior by a divergence, and write a checkpoint.

    recipe: '' is the one of the variant for the data's source, vae unless `overrides` has another. overrides: table → key → value, over
    the recipe's.
    Raises FileError for unusable data, UsageError for unusable settings or a network that the variant cannot use, and what `run_job`
    raises.
    """
    variant = chosen_variant(STAGE, recipe, overrides, VARIANTS)
    settings, method = VARIANTS[variant]
    job = job_from_images(data, STAGE, variant, settings, method, recipe=recipe, overrides=overrides)
    if variant == "wae-mmd":
        require_two_codes(job.schedule, variant)
    return run_job(job, out, run, progress)
