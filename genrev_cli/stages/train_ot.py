"""train-ot: images → a reversible network and a Gaussian per class that its codes follow, without an adversary (A6)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genrev_cli.methods.transport import ClassTransport, TransportConfig
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.checkpoints import load_checkpoint
from genrev_cli.stages.job import RunOptions
from genrev_cli.stages.planning import job_from_images
from genrev_cli.stages.training import run_job
from genrev_cli.training import distributed

STAGE = "train-ot"


def train_ot(
    data: Path, out: Path, *, recipe: str = "", overrides: dict[str, dict[str, Any]], run: RunOptions, progress: Progress = SILENT
) -> Result:
    """Train a reversible network and the Gaussians of its classes by optimal transport and write a checkpoint.

    recipe: '' is the one for the data's source. overrides: table → key → value, over the recipe's. Beside the numbers of the last look,
    the result has how many dimensions each class uses (`dims_of_class`).
    Raises FileError for unusable data, UsageError for unusable settings or labels, and what `run_job` raises.
    """
    job = job_from_images(data, STAGE, "grn-ot", TransportConfig, ClassTransport, recipe=recipe, overrides=overrides)
    result = run_job(job, out, run, progress)
    if result.out is None or distributed.rank():
        return result
    used = load_checkpoint(result.out, torch.device("cpu")).prior.used()
    return replace(result, numbers={**result.numbers, "dims_of_class": used.sum(1).tolist()})
