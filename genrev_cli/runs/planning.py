"""Plan a training stage that starts from images: recipe → network and prior for these images → job."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import defaults_of, flags_of, overlaid, read_recipe, split_table, table_of
from genrev_cli.errors import UsageError
from genrev_cli.files.images import ImageSet, open_images
from genrev_cli.latents import PRIORS, Prior, build_prior, takes_classes
from genrev_cli.models import MODELS, Autoencoder, build_model, sized
from genrev_cli.plugins import needed
from genrev_cli.precision import autocast_in
from genrev_cli.progress import SILENT, Progress
from genrev_cli.recipes.choice import is_family
from genrev_cli.runs.job import Job
from genrev_cli.runs.recipes import recipe_for_images, say, table_in
from genrev_cli.runs.warm import WarmStart, variant_of
from genrev_cli.settings.base import listed
from genrev_cli.settings.schedule import Schedule
from genrev_cli.settings.trainer import Variant
from genrev_cli.training.method import AutoencoderMethod

Maker = Callable[[Autoencoder, Prior, Any, Callable[[], AbstractContextManager]], AutoencoderMethod]
"""(autoencoder, prior, the method's settings, autocast) → the method; usually the class of a method."""

OfLoss = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
"""(table of the recipe, options) → key → value of the settings that the option --loss brings with it."""


def job_from_images(
    data: Path,
    stage: str,
    family: str,
    settings: type,
    *,
    make: Maker,
    recipe: str,
    overrides: dict[str, dict[str, Any]],
    size: str = "",
    init: Path | None = None,
    of_loss: OfLoss | None = None,
    progress: Progress = SILENT,
) -> Job:
    """Return a job that trains a fresh network and its prior, or those of the checkpoint `init`, from its weights.

    stage: the table of the recipe; its keys are those of `Schedule` and of the dataclass `settings`. recipe: '' is the built-in recipe of
    `family` for the data's source, else the family's rule. size: '' or one of SIZES, for the rule. overrides: table → key → value, which
    replace the recipe's. of_loss: of several built-in recipes prefer one for the loss that is asked for; if the recipe is for another,
    these settings replace it, and are in the job's origin. progress: is told where a rule or the loss decided.
    Raises FileError for unusable data, UsageError for unusable settings.
    """
    images = open_images(data)
    start = _warm_start(init, images, overrides) if init else None
    asked = overrides.get(stage, {})
    wanted = {"loss": asked["loss"]} if of_loss and "loss" in asked else {}
    choice = (start.choice if start else partial(recipe_for_images, images, wanted=wanted))(stage, family, recipe=recipe, size=size)
    from_loss = of_loss(choice.tables.get(stage, {}), asked) if of_loss else {}
    recipe, tables = choice.name, overlaid(choice.tables, {**overrides, stage: from_loss | asked}) | (start.tables if start else {})
    model, prior = resolved(tables, images, recipe)
    schedule, config = split_table(table_in(choice, tables, stage), f"{recipe} [{stage}]", Schedule, settings)
    say(choice, images, "batch and steps" if start else "network, batch and steps", parameters_of(model), progress=progress)
    for note in _notes(recipe, asked, from_loss, init):
        progress.note(note)

    def build(device: torch.device) -> AutoencoderMethod:
        network, its_prior = build_model(model).to(device), build_prior(prior).to(device)
        if start:
            start.fill(network, its_prior)
        return make(network, its_prior, config, autocast_in(device, schedule.precision))

    found = {"model": model, "prior": prior, "method": vars(config)}
    if plugins := needed([("network", model["name"]), ("trainer", stage)]):
        found["plugins"] = plugins  # a run does not go on with other code
    inputs = {"data": images.header.as_input(data)} | ({"init": start.record} if start else {})
    return Job(
        stage, found, inputs, images, schedule, build,
        origin=choice.origin | ({"from_loss": from_loss} if from_loss else {}),
        defaults=defaults_for(model, prior, settings), restore=start.restore if start else None,
    )  # fmt: skip


def _notes(recipe: str, asked: dict[str, Any], from_loss: dict[str, Any], init: Path | None) -> Iterator[str]:
    """Yield what the user did not ask for, but gets from a loss or a warm start."""
    if from_loss:
        yield f"--loss {asked['loss']}: {_listed(from_loss)} are those of its authors; {recipe} is for another loss"
    if init:
        yield f"--init {init}: network, prior and weights are those of the checkpoint; settings are those of {recipe}"


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {list(value) if isinstance(value, tuple) else value}" for key, value in settings.items())


def _warm_start(init: Path, images: ImageSet, overrides: dict[str, dict[str, Any]]) -> WarmStart:
    start = WarmStart(init, images, overrides)
    if start.classes and (found := class_count(images)) != start.classes:
        raise UsageError(f"--init {init}: has [prior] classes = {start.classes}, and the training images of {images.path} have {found}")
    return start


def parameters_of(model: dict[str, Any]) -> int:
    """Return the number of parameters of the network that a config describes."""
    with torch.device("meta"):
        return build_model(model).parameter_count()


def defaults_for(model: dict[str, Any], prior: dict[str, Any], settings: type) -> dict[str, dict[str, Any]]:
    """Return `Job.defaults` of a job that trains a model and a prior with these configs by the dataclass `settings`.

    The default of a new key must be what genrev did before the key existed.
    """
    of_model, of_prior = MODELS[model["name"]][0], PRIORS[prior["name"]][0]
    return {"model": defaults_of(of_model), "prior": defaults_of(of_prior), "method": defaults_of(settings)}


def chosen_variant(
    stage: str, recipe: str, overrides: dict[str, dict[str, Any]], variants: Mapping[str, Variant], *, init: Path | None = None
) -> str:
    """Return the variant of a stage: the one that is asked for, else the recipe's or family's, else that of `init`, else the first.

    Raises UsageError for an unknown variant, and for a recipe of another variant, whose settings mean something else.
    """
    asked, named = overrides.get(stage, {}).get("variant"), None
    if recipe and is_family(recipe, stage):
        named = next((name for name, variant in variants.items() if variant.family == recipe), None)
    elif recipe:
        named = table_of(read_recipe(recipe), stage, recipe).get("variant")
    variant = asked or named or (variant_of(init, stage) if init else "") or next(iter(variants))
    if not isinstance(variant, str) or variant not in variants:
        known = listed(tuple(variants))
        where = f"{recipe} [{stage}]" if named else f"--init {init}"
        raise UsageError(f"--variant {asked}: choose {known}" if asked else f"{where}: variant = {variant!r} is unknown; choose {known}")
    if asked and named and asked != named:
        raise UsageError(f"--variant {asked}: {recipe} is a recipe for {named}; leave out --variant or --recipe")
    return variant


def resolved(tables: dict[str, Any], images: ImageSet, recipe: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configs of model and prior for these images, with every default filled in: to spell a default out changes nothing.

    Raises UsageError for tables that do not describe a model and a prior.
    """
    of_model, of_prior = table_of(tables, "model", recipe), table_of(tables, "prior", recipe)
    if "exact_bits" in of_model and of_model.get("name") != "revnet":
        key = flags_of(of_model).get("exact_bits", f"{recipe} [model]: exact_bits")
        raise UsageError(f"{key}: needs additive couplings, and '{of_model.get('name')}' has none; use a recipe with a revnet")
    with torch.device("meta"):
        model = build_model(sized(of_model, of_prior.get("dim", 0)) | {"image_shape": list(images.image_shape)}, f"{recipe} [model]")
        classes = {"classes": class_count(images)} if takes_classes(of_prior) and "classes" not in of_prior else {}
        prior = build_prior(of_prior | {**classes, "latent_dim": model.latent_dim}, f"{recipe} [prior]")
    return model.config, prior.config


def class_count(images: ImageSet) -> int:
    """Return the number of classes of the training images: the largest label + 1, or 1 when no image has a label.

    Raises UsageError when only some images have a label.
    """
    labels = images.labels[images.rows("train")]
    if labels.min() < 0 <= labels.max():
        raise UsageError(f"{images.path}: some images have a label and some have none; a Gaussian per class needs all of them, or none")
    return int(labels.max()) + 1 if labels.min() >= 0 else 1
