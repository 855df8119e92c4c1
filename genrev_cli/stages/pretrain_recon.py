"""pretrain-recon: raw images → an autoencoder whose restricted latent reconstructs them (A2, A3)."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import overlaid, read_recipe, recipe_for, split_table, table_of
from genrev_cli.errors import UsageError
from genrev_cli.files.images import ImageSet, open_images
from genrev_cli.latents import build_prior, takes_classes
from genrev_cli.methods.reconstruction import Reconstruction, ReconstructionConfig
from genrev_cli.models import build_model, sized
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
    origin = {"recipe": recipe, "recipe_tables": read_recipe(recipe)}
    tables = overlaid(origin["recipe_tables"], overrides)
    model, prior = resolved(tables, images, recipe)
    schedule, config = split_table(table_of(tables, STAGE, recipe), f"{recipe} [{STAGE}]", Schedule, ReconstructionConfig)

    def build(device: torch.device) -> Reconstruction:
        return Reconstruction(build_model(model).to(device), build_prior(prior).to(device), config, autocast_in(device, schedule.precision))

    settings = {"model": model, "prior": prior, "method": vars(config)}
    job = Job(STAGE, settings, {"data": images.header.as_input(data)}, images, schedule, build, origin=origin)
    return run_job(job, out, run, progress)


def resolved(tables: dict[str, Any], images: ImageSet, recipe: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configs of model and prior for these images, with every default filled in, so that a recipe that spells one out means the same.

    Raises UsageError for tables that describe none.
    """
    of_model, of_prior = table_of(tables, "model", recipe), table_of(tables, "prior", recipe)
    with torch.device("meta"):
        model = build_model({**sized(of_model, of_prior.get("dim", 0)), "image_shape": list(images.image_shape)})
        classes = {"classes": class_count(images)} if takes_classes(of_prior) and "classes" not in of_prior else {}
        prior = build_prior({**of_prior, **classes, "latent_dim": model.latent_dim})
    return model.config, prior.config


def class_count(images: ImageSet) -> int:
    """How many classes the training images are of: the greatest label and one, or 1 where none has a label.

    Raises UsageError when some have one and some have not.
    """
    labels = images.labels[images.rows("train")]
    if labels.min() < 0 <= labels.max():
        raise UsageError(f"{images.path}: some images have a label and some have none; a Gaussian per class needs all of them, or none")
    return int(labels.max()) + 1 if labels.min() >= 0 else 1
