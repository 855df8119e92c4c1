"""pretrain-recon: raw images → an autoencoder whose restricted latent reconstructs them (A2, A3)."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import overlaid, read_recipe, recipe_for, split_table, table_of
from genrev_cli.files.images import open_images
from genrev_cli.latents import build_prior
from genrev_cli.methods.reconstruction import Reconstruction, ReconstructionConfig
from genrev_cli.models import build_model
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.job import Job, RunOptions, Schedule
from genrev_cli.stages.training import run_job
from genrev_cli.training.method import autocast_in

STAGE = "pretrain-recon"


def pretrain_recon(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train for reconstruction through the restricted latent and write a checkpoint.

    recipe: '' is the one for the data's source. overrides: table → key → value, over the recipe's.
    Raises FileError for unusable data, UsageError for unusable settings, and what `run_job` raises.
    """
    images = open_images(data)
    recipe = recipe or recipe_for(images.header.config["source"]["name"], "grn", data)
    tables = overlaid(read_recipe(recipe), overrides)
    model = {**table_of(tables, "model", recipe), "image_shape": list(images.image_shape)}
    prior = table_of(tables, "prior", recipe)
    schedule, config = split_table(table_of(tables, STAGE, recipe), f"{recipe} [{STAGE}]", Schedule, ReconstructionConfig)

    def build(device: torch.device) -> Reconstruction:
        autoencoder = build_model(model)
        full_prior = build_prior({**prior, "latent_dim": autoencoder.latent_dim})
        return Reconstruction(autoencoder.to(device), full_prior.to(device), config, autocast_in(device, schedule.precision))

    settings = {"recipe": recipe, "model": model, "prior": prior, "method": vars(config)}
    job = Job(STAGE, settings, {"data": images.header.as_input(data)}, images, schedule, build)
    return run_job(job, out, run, progress)
