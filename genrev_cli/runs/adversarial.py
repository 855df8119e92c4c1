"""train-adversarial: a pretrained network → one whose codes follow the prior, by an adversary or a distance.

The adversary is that of Schirrmeister et al. 2018, sections 2.2 and 3.1; their section 4 proposes a distance in its place.
"""

import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import overlaid, split_table, without
from genrev_cli.errors import UsageError
from genrev_cli.methods.adversarial import LatentAdversarial
from genrev_cli.methods.matching import LatentMatching
from genrev_cli.precision import autocast_in
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.runs.job import Job
from genrev_cli.runs.planning import defaults_for
from genrev_cli.runs.recipes import recipe_for_checkpoint, say, table_in
from genrev_cli.runs.run import run_job
from genrev_cli.settings.adversarial import ADVERSARY, AdversarialConfig, MatchingConfig
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.settings.trainers import flag_that_sets
from genrev_cli.store.checkpoints import data_of, load_checkpoint
from genrev_cli.training.method import AutoencoderMethod, require_two_codes

STAGE = "train-adversarial"
FAMILY = "grn"  # of the rule, for checkpoints whose recipe has no table for this command


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
    """Train a checkpoint's encoder until its active dimensions follow the prior and write a checkpoint.

    data: None is the data that the checkpoint was trained on. recipe: '' is the checkpoint's own; if that has no table for this command,
    the rule of reversible networks makes one. The key `matcher` of the table chooses what pulls the codes to the prior:
    'adversary', or a distance of `MATCHERS`.
    Raises FileError for unusable files, UsageError for unusable settings, and what `run_job` raises.
    """
    start = load_checkpoint(ckpt, torch.device("cpu"))
    images = data_of(start.header, data, ckpt)
    choice = recipe_for_checkpoint(start.header, ckpt, images, STAGE, family=FAMILY, recipe=recipe)
    table = table_in(choice, overlaid(choice.tables, overrides), STAGE)
    schedule, config, method = planned(table, overrides.get(STAGE, {}), choice.name)
    say(choice, images, "adversary, batch and steps", 0, progress=progress)

    def build(device: torch.device) -> AutoencoderMethod:
        autoencoder = copy.deepcopy(start.autoencoder).to(device).train().requires_grad_(True)
        return method(autoencoder, copy.deepcopy(start.prior).to(device), config, autocast_in(device, schedule.precision))

    defaults = defaults_for(start.autoencoder.config, start.prior.config, type(config))
    settings = {"model": start.autoencoder.config, "prior": start.prior.config, "method": vars(config)}
    inputs = {"ckpt": start.header.as_input(start.path), "data": images.header.as_input(images.path)}
    shared = {"prior_samples": (config.prior_samples, 1)} if method is LatentAdversarial else {}
    job = Job(
        STAGE, settings, inputs, images, schedule, build,
        batches_per_step=method.batches_per_step, origin=choice.origin, defaults=defaults, shared=shared,
    )  # fmt: skip
    return run_job(job, out, run, progress)


def planned(table: dict[str, Any], asked: dict[str, Any], recipe: str) -> tuple[Schedule, Any, type[AutoencoderMethod]]:
    """Return the schedule, the settings of the method that the key `matcher` chooses, and the method, from a table of a recipe.

    asked: the keys that options gave. recipe: named in errors. Raises UsageError for settings that cannot be used.
    """
    table, method, kind = _matched(table, asked)
    schedule, config = split_table(table, f"{recipe} [{STAGE}]", Schedule, kind)
    if table.get("matcher") == "mmd":
        require_two_codes(schedule, "matcher mmd")
    return schedule, config, method


def _matched(table: dict[str, Any], asked: dict[str, Any]) -> tuple[dict[str, Any], type[AutoencoderMethod], type]:
    """Return the table without the keys of the other method, the method that its key `matcher` chooses, and the class of its settings.

    Raises UsageError when such a key was given as an option; a recipe may have those of both.
    """
    adversarial = table.get("matcher", ADVERSARY) == ADVERSARY
    method, settings, other = (
        (LatentAdversarial, AdversarialConfig, MatchingConfig) if adversarial else (LatentMatching, MatchingConfig, AdversarialConfig)
    )
    foreign = {field.name for field in fields(other)} - {field.name for field in fields(settings)}
    for key in foreign & asked.keys() - {"matcher"}:
        raise UsageError(f"{flag_that_sets(STAGE, key)}: has no meaning with --matcher {table.get('matcher', ADVERSARY)}; leave it out")
    return without(table, *foreign), method, settings
