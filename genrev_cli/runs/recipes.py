"""Choose the recipe of a run from its images or from the checkpoint that it starts from, and say where a rule decided."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import table_of
from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header
from genrev_cli.files.images import ImageSet
from genrev_cli.models import build_model, sized
from genrev_cli.progress import Progress
from genrev_cli.recipes.choice import Choice, by_rule, choose
from genrev_cli.recipes.rules import Facts
from genrev_cli.recipes.words import count
from genrev_cli.store.checkpoints import recipe_of


def facts_of(images: ImageSet) -> Facts:
    """Return what a rule needs to know of prepared images."""
    labels = images.labels[images.rows("train")]
    channels, height, width = map(int, images.image_shape)
    return Facts((channels, height, width), len(labels), max(int(labels.max()), 0) + 1)


def recipe_for_images(
    images: ImageSet, command: str, family: str, *, recipe: str, size: str, wanted: Mapping[str, Any] | None = None
) -> Choice:
    """Return the recipe of a command that trains a fresh network. Arguments and errors: `choose`."""

    def misfit(tables: dict[str, Any]) -> str:
        return _misfit(tables, images)

    source = images.header.config["source"]["name"]
    asked: dict[str, Any] = {"recipe": recipe, "size": size, "wanted": wanted}
    return choose(command, family, facts_of(images), source=source, data=images.path, misfit=misfit, **asked)


def _misfit(tables: dict[str, Any], images: ImageSet) -> str:
    """Return why the network of a recipe cannot be built for images; '' if it can, or if the recipe has none."""
    if "model" not in tables:
        return ""
    try:
        with torch.device("meta"):
            build_model({**sized(tables["model"], tables.get("prior", {}).get("dim", 0)), "image_shape": list(images.image_shape)})
    except UsageError as error:
        return str(error)
    return ""


def recipe_for_checkpoint(
    header: Header, ckpt: Path, images: ImageSet, command: str, *, family: str, recipe: str, optional: bool = False
) -> Choice:
    """Return the recipe of a command that goes on from a checkpoint: --recipe, else the checkpoint's own.

    If the checkpoint's recipe lacks the command's table, that of `family`'s rule is added to it, in the size of the checkpoint's rule.
    optional: a recipe that is no rule's may lack the table. Raises UsageError like `choose`, and for a checkpoint without a recipe.
    """
    if recipe:
        return recipe_for_images(images, command, family, recipe=recipe, size="")
    own = recipe_of(header, ckpt)
    name, tables, size = own["recipe"], own["recipe_tables"], own.get("recipe_size", "")
    if command in tables or (optional and not size):
        return Choice(name, tables, size)
    reason = f"the recipe of {ckpt} has no table [{command}]"
    rule = by_rule(family, facts_of(images), size, reason)
    return Choice(f"{name} + {rule.name}", {**tables, command: rule.tables[command]}, rule.size, reason)


def table_in(choice: Choice, tables: dict[str, Any], command: str) -> dict[str, Any]:
    """Return the table of a command with all overrides. Raises UsageError if the recipe itself has none."""
    table_of(choice.tables, command, choice.name)  # with overrides `tables` always has one
    return table_of(tables, command, choice.name)


def say(choice: Choice, images: ImageSet, sizes: str, parameters: int, *, progress: Progress) -> None:
    """Print one line where a rule decided. sizes: what it sized; parameters: of the network that is trained, 0 for a given one."""
    if choice.reason:
        facts = facts_of(images)
        trained = f"{count(parameters)} parameters; " if parameters else ""
        progress.note(f"{choice.reason}: {sizes} are sized for {facts.described} ({trained}{choice.size}; see --dry-run)")
