"""train-adversarial: a pretrained reversible network → one whose codes follow the prior (A4)."""

import copy
from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import overlaid, read_recipe, split_table, table_of
from genrev_cli.methods.adversarial import AdversarialConfig, LatentAdversarial
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.checkpoints import data_of, load_checkpoint, recipe_of
from genrev_cli.stages.job import Job, RunOptions, Schedule
from genrev_cli.stages.training import run_job
from genrev_cli.training.method import autocast_in

STAGE = "train-adversarial"


def train_adversarial(
    ckpt: Path,
    out: Path,
    *,
    data: Path | None = None,
    recipe: str = "",
    overrides: dict[str, dict[str, Any]],
    run: RunOptions,
    progress: Progress = SILENT,
) -> Result:
    """Train a checkpoint's encoder against an adversary on its active dimensions and write a checkpoint.

    data: None is the data that the checkpoint was trained on. recipe: '' is the checkpoint's own.
    Raises FileError for unusable files, UsageError for unusable settings, and what `run_job` raises.
    """
    start = load_checkpoint(ckpt, torch.device("cpu"))
    images = data_of(start.header, data, ckpt)
    origin = {"recipe": recipe, "recipe_tables": read_recipe(recipe)} if recipe else recipe_of(start.header, ckpt)
    tables, name = overlaid(origin["recipe_tables"], overrides), origin["recipe"]
    schedule, config = split_table(table_of(tables, STAGE, name), f"{name} [{STAGE}]", Schedule, AdversarialConfig)

    def build(device: torch.device) -> LatentAdversarial:
        autoencoder = copy.deepcopy(start.autoencoder).to(device).train().requires_grad_(True)
        return LatentAdversarial(autoencoder, copy.deepcopy(start.prior).to(device), config, autocast_in(device, schedule.precision))

    settings = {"model": start.autoencoder.config, "prior": start.prior.config, "method": vars(config)}
    inputs = {"ckpt": start.header.as_input(ckpt), "data": images.header.as_input(images.path)}
    job = Job(STAGE, settings, inputs, images, schedule, build, LatentAdversarial.batches_per_step, origin)
    return run_job(job, out, run, progress)
