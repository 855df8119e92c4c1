"""train-ot: images → a reversible network and a Gaussian per class that its codes follow, without an adversary (A6)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import overlaid, read_recipe, recipe_for, split_table, table_of
from genrev_cli.files.images import open_images
from genrev_cli.latents import build_prior
from genrev_cli.methods.transport import ClassTransport, TransportConfig
from genrev_cli.models import build_model
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.checkpoints import load_checkpoint
from genrev_cli.stages.job import Job, RunOptions, Schedule
from genrev_cli.stages.pretrain_recon import resolved
from genrev_cli.stages.training import run_job
from genrev_cli.training import distributed
from genrev_cli.training.method import autocast_in

STAGE = "train-ot"


def train_ot(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train a reversible network and the Gaussians of its classes by optimal transport and write a checkpoint.

    recipe: '' is the one for the data's source. overrides: table → key → value, over the recipe's. Beside the numbers of the last look,
    the result has how many dimensions each class uses (`dims_of_class`).
    Raises FileError for unusable data, UsageError for unusable settings or labels, and what `run_job` raises.
    """
    images = open_images(data)
    recipe = recipe or recipe_for(images.header.config["source"]["name"], "grn-ot", data)
    origin = {"recipe": recipe, "recipe_tables": read_recipe(recipe)}
    tables = overlaid(origin["recipe_tables"], overrides)
    model, prior = resolved(tables, images, recipe)
    schedule, config = split_table(table_of(tables, STAGE, recipe), f"{recipe} [{STAGE}]", Schedule, TransportConfig)

    def build(device: torch.device) -> ClassTransport:
        autoencoder, gaussians = build_model(model).to(device), build_prior(prior).to(device)
        return ClassTransport(autoencoder, gaussians, config, autocast_in(device, schedule.precision))

    settings = {"model": model, "prior": prior, "method": vars(config)}
    job = Job(STAGE, settings, {"data": images.header.as_input(data)}, images, schedule, build, origin=origin)
    result = run_job(job, out, run, progress)
    if result.out is None or distributed.rank():
        return result
    used = load_checkpoint(result.out, torch.device("cpu")).prior.used()
    return replace(result, numbers={**result.numbers, "dims_of_class": used.sum(1).tolist()})
