"""Build the subject of the checks from --recipe and --data, or from --ckpt."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from genrev_cli.config import read_recipe, recipe_names, split_table
from genrev_cli.doctor.images import write_images
from genrev_cli.doctor.subject import Subject
from genrev_cli.errors import UsageError
from genrev_cli.files.images import ImageSet, open_images
from genrev_cli.latents import build_prior
from genrev_cli.models import Autoencoder, build_model
from genrev_cli.recipes.built_in import SHAPES, Shape, built_in
from genrev_cli.recipes.choice import Choice
from genrev_cli.recipes.rules import RULES
from genrev_cli.runs.planning import resolved
from genrev_cli.runs.recipes import recipe_for_images
from genrev_cli.seeds import derive
from genrev_cli.settings.reconstruction import ReconstructionConfig
from genrev_cli.settings.schedule import Schedule
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.training.loop import seeded

DEFAULTS = {"cuda": "grn-celeba64", "cpu": "grn-mnist"}
"""Device type → the recipe to examine by default."""
GUESSES = ((3, 64, 64), (1, 32, 32))
"""Shapes to try if the name matches none."""

IMAGES = 64
FEW = {"cuda": 32, "cpu": 4}
MOST = {"cuda": 1 << 20, "cpu": 8}
"""Device type → number of images: FEW for steps whose results are compared, MOST as the maximum for steps that are timed."""
BIASES = 0.01

FAMILY = "grn"
"""The family to examine by default where images are given."""

_STAGE = "pretrain-recon"


def open_subject(word: str, device: torch.device, scratch: Path, *, ckpt: Path | None, recipe: str, data: Path | None) -> Subject:
    """Return the subject that a checkpoint or recipe describes; without either, that of the default recipe for the device type.

    data: images for which a recipe is built, and a family sized. Raises UsageError for a checkpoint with one of the others, a family
    without data, or an unusable recipe; FileError for unusable files.
    """
    if ckpt and data:
        raise UsageError(f"--data {data}: is for a recipe, and --ckpt {ckpt} has its own shape of images; leave one of the two out")
    if ckpt and recipe:
        raise UsageError(f"--ckpt {ckpt} and --recipe {recipe}: pass only one of them")
    if ckpt:
        return _from_checkpoint(word, device, scratch, ckpt)
    return _from_recipe(word, device, scratch, recipe or (FAMILY if data else DEFAULTS[device.type]), data=data)


def _from_checkpoint(word: str, device: torch.device, scratch: Path, path: Path) -> Subject:
    found = load_checkpoint(path, torch.device("cpu"))
    model, config = found.autoencoder, found.header.config
    schedule = config.get("schedule", {})
    method = config.get("method", {}) if config.get("stage") == _STAGE else {}
    name = f"checkpoint of {config.get('stage', 'an unknown stage')}, {described(model)}"
    return Subject(
        word=word, device=device, name=name, template=(model, found.own_prior), settings=_settings(method, str(path)),
        precision=schedule.get("precision", "fp32"), bits=getattr(model, "exact_bits", 0),
        images=open_images(write_images(scratch / "images.h5", IMAGES, model.image_shape)), scratch=scratch,
        **_batches(schedule.get("batch", Schedule.batch), device),
    )  # fmt: skip


def _from_recipe(word: str, device: torch.device, scratch: Path, recipe: str, *, data: Path | None) -> Subject:
    given = open_images(data) if data else None
    choice = _choice(recipe, given)
    recipe, tables = choice.name, choice.tables
    images, model_table, prior_table, guessed = _fitting(tables, recipe, scratch, given.image_shape if given else None)
    with seeded(0, "doctor"):
        model, prior = build_model(model_table), build_prior(prior_table)
    _draw_biases(model)
    table = tables.get(_STAGE, {})
    schedule, settings = split_table(table, f"{recipe} [{_STAGE}]", Schedule, ReconstructionConfig)
    any_batch = next((t["batch"] for t in tables.values() if isinstance(t.get("batch"), int)), schedule.batch)
    return Subject(
        word=word, device=device, template=(model, prior),
        name=f"{recipe if choice.size else f'recipe {Path(recipe).name}'}, {described(model)}{guessed}",
        settings=settings, precision="fp32", bits=getattr(model, "exact_bits", 0), images=images, scratch=scratch,
        **_batches(schedule.batch if table else any_batch, device),
    )  # fmt: skip


def _choice(recipe: str, images: ImageSet | None) -> Choice:
    """Return a recipe, or that of a family for images. Raises UsageError for a family without images, and for unknown recipes."""
    if recipe not in RULES or recipe in recipe_names():
        return Choice(recipe, read_recipe(recipe))
    if images is None:
        own = [one for one in recipe_names() if built_in(one).family == recipe]
        instead = f", or a recipe: {', '.join(own)}" if own else ""
        raise UsageError(f"--recipe {recipe}: is a family, whose network is sized for images; pass --data DATA.h5 too{instead}")
    return recipe_for_images(images, RULES[recipe].commands[0], recipe, recipe=recipe, size="")


def _fitting(
    tables: dict[str, Any], recipe: str, scratch: Path, given: Shape | None = None
) -> tuple[ImageSet, dict[str, Any], dict[str, Any], str]:
    """Return a small prepared set for a recipe, the settings of its network and prior, and a remark if the image shape is a guess.

    given: the shape of the images. Raises UsageError if no known shape fits the network.
    """
    stem = Path(recipe).stem
    known = [given] if given else [shape for part, (_, shape) in SHAPES.items() if part in stem][:1]
    refused: UsageError | None = None
    for shape in known or GUESSES:
        images = open_images(write_images(scratch / "images.h5", IMAGES, shape))
        try:
            model, prior = resolved(tables, images, recipe)
        except UsageError as error:
            if known:
                raise
            refused = refused or error
            continue
        return images, model, prior, "" if known else ", a guessed shape"
    raise UsageError(
        f"--recipe {recipe}: the shape of its images is not known, and {GUESSES[0]} and {GUESSES[1]} do not fit ({refused}); "
        f"pass --data or --ckpt, or put one of {', '.join(SHAPES)} into the file's name"
    )


def described(model: Autoencoder) -> str:
    """Return name, image shape and number of parameters of a network."""
    shape = "×".join(str(side) for side in model.image_shape)
    return f"{model.config['name']} for {shape}, {model.parameter_count():,} parameters"


def _settings(method: dict[str, Any], where: str) -> ReconstructionConfig:
    """Return the settings of the reconstruction step; the defaults if the checkpoint is from another stage."""
    (settings,) = split_table(method, where, ReconstructionConfig)
    return settings


def _batches(batch: int, device: torch.device) -> dict[str, int]:
    """Return the full and the small batch size."""
    batch = min(batch, MOST[device.type])
    return {"batch": batch, "few": min(batch, FEW[device.type])}


def _draw_biases(model: Autoencoder) -> None:
    """Draw the biases that are 0, because the gradient of a ReLU at an input of 0 depends on rounding."""
    generator = torch.Generator().manual_seed(derive(0, "doctor", "biases"))
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] == "bias" and not parameter.any():
            nn.init.normal_(parameter, std=BIASES, generator=generator)
