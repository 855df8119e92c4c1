"""train-flow: images → an invertible network that gives them a likelihood (A7, E)."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import overlaid, read_recipe, recipe_for, split_table, table_of
from genrev_cli.files.images import open_images
from genrev_cli.latents import build_prior
from genrev_cli.methods.likelihood import LikelihoodConfig, MaximumLikelihood
from genrev_cli.models import build_model
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.job import Job, RunOptions, Schedule
from genrev_cli.stages.pretrain_recon import resolved
from genrev_cli.stages.training import run_job
from genrev_cli.training.method import autocast_in

STAGE = "train-flow"


def train_flow(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train an invertible network and the scales of its prior by maximum likelihood and write a checkpoint.

    recipe: '' is the one for the data's source. overrides: table → key → value, over the recipe's.
    Raises FileError for unusable data, UsageError for unusable settings or a network without a likelihood, and what `run_job` raises.
    """
    images = open_images(data)
    recipe = recipe or recipe_for(images.header.config["source"]["name"], "flow", data)
    origin = {"recipe": recipe, "recipe_tables": read_recipe(recipe)}
    tables = overlaid(origin["recipe_tables"], overrides)
    model, prior = resolved(tables, images, recipe)
    schedule, config = split_table(table_of(tables, STAGE, recipe), f"{recipe} [{STAGE}]", Schedule, LikelihoodConfig)

    def build(device: torch.device) -> MaximumLikelihood:
        autoencoder, scales = build_model(model).to(device), build_prior(prior).to(device)
        return MaximumLikelihood(autoencoder, scales, config, autocast_in(device, schedule.precision))

    settings = {"model": model, "prior": prior, "method": vars(config)}
    job = Job(STAGE, settings, {"data": images.header.as_input(data)}, images, schedule, build, origin=origin)
    return run_job(job, out, run, progress)
