"""pretrain-recon: raw images → an autoencoder whose restricted latent reconstructs them (A2, A3)."""

from pathlib import Path
from typing import Any

from genrev_cli.methods.reconstruction import Reconstruction, ReconstructionConfig
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.job import RunOptions
from genrev_cli.stages.planning import job_from_images, require_two_codes
from genrev_cli.stages.training import run_job

STAGE = "pretrain-recon"


def pretrain_recon(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train for reconstruction through the restricted latent and write a checkpoint.

    recipe: '' is the one for the data's source. overrides: table → key → value, over the recipe's.
    Raises FileError for unusable data, UsageError for unusable settings, and what `run_job` raises.
    """
    job = job_from_images(data, STAGE, "grn", ReconstructionConfig, Reconstruction, recipe=recipe, overrides=overrides)
    if job.settings["method"]["weight_mmd"]:
        require_two_codes(job.schedule, "weight_mmd")
    return run_job(job, out, run, progress)
