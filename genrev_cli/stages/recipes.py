"""recipes: list the built-in recipes and the rules, or what fits prepared images, with parameters, memory and measured time."""

import difflib
import time
from dataclasses import replace
from typing import Any

import torch

from genrev_cli.config import read_recipe, recipe_names
from genrev_cli.errors import GenrevError, UsageError
from genrev_cli.files.images import ImageSet, open_images
from genrev_cli.methods.aeotgan import AEOTGAN
from genrev_cli.models import sized
from genrev_cli.progress import SILENT, Progress
from genrev_cli.recipes.built_in import BuiltIn, built_in, recipe_text
from genrev_cli.recipes.choice import by_rule
from genrev_cli.recipes.rules import RULES
from genrev_cli.recipes.toml import plain, to_toml
from genrev_cli.result import Result
from genrev_cli.runs.job import Job
from genrev_cli.runs.planning import job_from_images, parameters_of
from genrev_cli.runs.recipes import facts_of, recipe_for_images
from genrev_cli.runs.trial import try_steps
from genrev_cli.settings.aeotgan import AEOTGANConfig
from genrev_cli.settings.commands import all_commands
from genrev_cli.settings.recipes import RecipesOptions
from genrev_cli.settings.sizes import BASE
from genrev_cli.settings.trainers import TRAINERS
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.method import load_method

EACH_SECONDS, ALL_SECONDS = 3.0, 60.0
"""Limits of the measurements: of one recipe, and of all together."""
MEASURED = "seconds: measured; memory: weights, gradients and moments computed, activations measured on a smaller batch and scaled"


def recipes(name: str, options: RecipesOptions, progress: Progress = SILENT) -> Result:
    """Return what there is: without arguments `families`, with --for `fitting`, with a name its `toml`.

    name: '', a built-in recipe, or a family, which needs --for. Raises UsageError for an unknown name, FileError for unusable data.
    """
    if options.data is None and (options.size_of_model or name in RULES.keys() - set(recipe_names())):
        what = f"--size-of-model {options.size_of_model}" if options.size_of_model else f"{name}: is a family, whose rule"
        raise UsageError(f"{what} needs the images that it is for; give --for DATA.h5")
    if name:
        return Result(None, _text(name, options))
    if options.data is None:
        return Result(None, {"families": [_family(family) for family in _ordered()]})
    return Result(None, _fitting(open_images(options.data), options, progress))


def _text(name: str, options: RecipesOptions) -> dict[str, Any]:
    """Return a recipe as TOML with its comments, and as tables."""
    if name in recipe_names() and not options.size_of_model and (options.data is None or name not in RULES):
        return {"name": name, "toml": recipe_text(name), "tables": read_recipe(name)}
    if name in recipe_names() and name not in RULES:
        raise UsageError(f"--size-of-model {options.size_of_model}: does not apply to the recipe {name}; name its family")
    if name not in RULES:
        close = difflib.get_close_matches(name, [*RULES, *recipe_names()], 1)
        cure = f"did you mean '{close[0]}'?" if close else "'genrev recipes' lists all"
        raise UsageError(f"{name}: no such recipe; {cure}")
    assert options.data is not None
    images, command = open_images(options.data), RULES[name].commands[0]
    choice = recipe_for_images(images, command, name, recipe="", size=options.size_of_model)
    if not choice.size:
        return {"name": choice.name, "toml": recipe_text(choice.name), "tables": choice.tables}
    tables = RULES[name].tables(replace(facts_of(images), size=choice.size))
    title = [f"The {choice.name}. Comments say how each value was chosen; values without one are usual.", f"{RULES[name].about}."]
    return {"name": choice.name, "toml": to_toml(title, tables), "tables": plain(tables)}


def _ordered() -> list[str]:
    """Return the families in the order of their commands; a command's default comes first."""
    commands = list(all_commands())
    defaults = {variant.family for trainer in TRAINERS.values() for variant in trainer.variants.values()}
    return sorted(RULES, key=lambda family: (commands.index(RULES[family].commands[0]), family not in defaults))


def _family(family: str) -> dict[str, Any]:
    """Return a family with its built-in recipes. A recipe belongs to the family with the longest name that its own begins with."""
    found = [built_in(name) for name in recipe_names() if family == max(_families_of(name), key=len)]
    rule = RULES[family]
    return {"family": family, "about": rule.about, "commands": list(rule.commands), "recipes": [_described(one) for one in found]}


def _families_of(name: str) -> list[str]:
    return [family for family in RULES if name == family or name.startswith(f"{family}-")]


def _described(one: BuiltIn) -> dict[str, Any]:
    """Return for which images a built-in recipe is, and its parameters where these images have one shape."""
    tables = read_recipe(one.name)
    parameters = None
    if one.shape and "model" in tables:
        parameters = parameters_of({**sized(tables["model"], tables["prior"].get("dim", 0)), "image_shape": list(one.shape)})
    return {"name": one.name, "source": one.source, "shape": one.shape, "parameters": parameters}


def _fitting(images: ImageSet, options: RecipesOptions, progress: Progress) -> dict[str, Any]:
    """Return a row for what each family would train on these images, and one for its rule where a recipe is built in."""
    facts, device, began = facts_of(images), resolve_device(options.device), time.monotonic()
    rows, notes = [], []
    with progress.task("recipes", len(RULES), "families") as bar:
        for family in _ordered():
            command = RULES[family].commands[0]
            if command == "fit-features":  # needs labels, and has no samples to compare
                bar.advance()
                continue
            choice = recipe_for_images(images, command, family, recipe="", size=options.size_of_model)
            choices = [choice] if choice.size else [choice, by_rule(family, facts, BASE, "")]
            for one in choices:
                try:
                    job = _job(images, family, command, one.size, progress=progress)
                except UsageError as error:
                    notes.append(f"{family}: {error}")
                    continue
                row: dict[str, Any] = {"name": f"{family} ({one.size})" if one.size else one.name, "family": family, "command": command}
                row |= {"parameters": parameters_of(job.settings["model"]), "batch": job.schedule.batch, "steps": job.steps}
                if options.measure and time.monotonic() - began < ALL_SECONDS:
                    row |= _measured(job, device)
                rows.append(row)
            bar.advance()
    if options.measure:
        notes.append(MEASURED)
    conditions = {"data": str(images.path), "images": facts.described, "device": str(device), "threads": torch.get_num_threads()}
    return {"fitting": rows, "notes": notes, **conditions}


def _job(images: ImageSet, family: str, command: str, size: str, *, progress: Progress) -> Job:
    """Return the job of a family's first command on these images. size: '' for the built-in recipe."""
    if command == "train-gan":
        return job_from_images(images.path, command, family, AEOTGANConfig, make=AEOTGAN, recipe=family, size=size, overrides={})
    variants = TRAINERS[command].variants.values()
    variant = next((one for one in variants if one.family == family), next(iter(variants)))
    return job_from_images(
        images.path, command, family, variant.settings, make=load_method(variant.method), recipe=family, size=size, overrides={}
    )


def _measured(job: Job, device: torch.device) -> dict[str, Any]:
    """Return seconds and megabytes of a step, and the hours of all steps; {} with the reason where a step fails."""
    try:
        trial = try_steps(job, device, EACH_SECONDS)
    except (torch.OutOfMemoryError, GenrevError) as error:
        return {"failed": str(error).splitlines()[0]}
    return {
        "seconds_per_step": trial.seconds, "scaled": trial.scaled, "megabytes": trial.megabytes,
        "hours": trial.seconds * job.steps / 3600,
    }  # fmt: skip
