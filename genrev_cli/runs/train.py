"""Run the commands that train a fresh network on prepared images: trainer and recipe → method → checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.runs.planning import chosen_variant, job_from_images
from genrev_cli.runs.run import run_job
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.trainer import Trainer, Variant
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.training import distributed
from genrev_cli.training.method import AutoencoderMethod, load_method


def train(
    trainer: Trainer,
    data: Path,
    out: Path,
    *,
    recipe: str = "",
    size: str = "",
    init: Path | None = None,
    overrides: dict[str, dict[str, Any]],
    run: RunOptions,
    progress: Progress = SILENT,
) -> Result:
    """Train a network by one of the trainers and write its checkpoint.

    recipe: a built-in name, a family or a path; '' is the variant's family. A family means its built-in recipe for the data's source, else
    its rule. size: one of SIZES always takes the rule. init: a checkpoint with the network, prior and weights to start from; its own recipe
    is used if none is named. overrides: table → key → value, over the recipe's.
    The result has the numbers of the last measurement, and the method's summary of the trained prior (`AutoencoderMethod.summary`).
    Raises FileError for unusable data, UsageError for unusable settings or a network that the method cannot train, and like `run_job`.
    """
    variant = _variant(trainer, recipe, overrides, init)
    method = load_method(variant.method)
    job = job_from_images(
        data, trainer.name, variant.family, variant.settings, make=method,
        recipe=recipe, overrides=overrides, size=size, init=init, progress=progress,
    )  # fmt: skip
    method.require(job.schedule, job.settings["method"])
    result = run_job(job, out, run, progress)
    if result.out is None or distributed.rank():
        return result
    return replace(result, numbers={**result.numbers, **_summary(method, result.out)})


def _variant(trainer: Trainer, recipe: str, overrides: dict[str, dict[str, Any]], init: Path | None) -> Variant:
    if "" in trainer.variants:
        return trainer.variants[""]
    return trainer.variants[chosen_variant(trainer.name, recipe, overrides, trainer.variants, init=init)]


def _summary(method: type[AutoencoderMethod], ckpt: Path) -> dict[str, Any]:
    if method.summary is AutoencoderMethod.summary:
        return {}
    return method.summary(load_checkpoint(ckpt, torch.device("cpu")).prior)
