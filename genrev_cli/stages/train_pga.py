"""train-pga: images → a perceptual generative autoencoder (C)."""

from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.methods.perceptual import VARIANTS, PerceptualAutoencoder, PerceptualConfig
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.job import RunOptions
from genrev_cli.stages.planning import chosen_variant, job_from_images
from genrev_cli.stages.training import run_job

STAGE = "train-pga"


def train_pga(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train encoder and decoder, each by its own losses, and write a checkpoint.

    recipe: '' is the one of the variant for the data's source, lpga unless `overrides` has another. overrides: table → key → value, over
    the recipe's.
    Raises FileError for unusable data, UsageError for unusable settings or a network that the variant cannot use, and what `run_job`
    raises.
    """
    family = chosen_variant(STAGE, recipe, overrides, VARIANTS)
    job = job_from_images(data, STAGE, family, PerceptualConfig, PerceptualAutoencoder, recipe=recipe, overrides=overrides)
    if family != "vpga" and job.schedule.precision != "fp32":
        raise UsageError(f"--precision {job.schedule.precision}: {family} compares codes 1 % apart, which that rounds; use fp32, or vpga")
    return run_job(job, out, run, progress)
