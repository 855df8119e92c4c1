"""Plan a search before anything is trained: the base recipe, the recipe of any trial, and whether all ends of all ranges can be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.config import split_table
from genrev_cli.errors import UsageError
from genrev_cli.files.images import ImageSet, open_images
from genrev_cli.latents import PRIORS
from genrev_cli.models import MODELS
from genrev_cli.recipes.choice import Choice, by_rule
from genrev_cli.runs import adversarial
from genrev_cli.runs.job import steps_of
from genrev_cli.runs.planning import chosen_variant, parameters_of, resolved
from genrev_cli.runs.recipes import facts_of, recipe_for_images
from genrev_cli.search.space import HEAD, Raw, Space, Tables, read_space, space_of
from genrev_cli.settings.adversarial import AdversarialConfig, MatchingConfig
from genrev_cli.settings.base import listed
from genrev_cli.settings.schedule import Schedule
from genrev_cli.settings.trainer import Variant
from genrev_cli.settings.trainers import TRAINERS
from genrev_cli.training.method import load_method

NETWORKS: dict[str, Mapping[str, tuple[type, Any]]] = {"model": MODELS, "prior": PRIORS}
"""Table of a recipe whose key `name` chooses the other keys → name → (their dataclass, …)."""


@dataclass(frozen=True)
class Extent:
    """How long the last command of a trial trains. images: in a step. parameters: of the network."""

    steps: int
    images: int
    parameters: int


@dataclass(frozen=True)
class Plan:
    """A search. images: opened from `data`. base: the recipe whose values the space replaces; it has a table for each command."""

    data: Path
    images: ImageSet
    base: Choice
    space: Space

    @property
    def commands(self) -> tuple[str, ...]:
        """The training commands of a trial, in order."""
        return self.space.raw.head.train

    def tables(self, values: dict[str, Any]) -> Tables:
        """Return the recipe of a trial. values: name of a range → value."""
        return overlaid(self.base.tables, self.space.filled(values), self.commands)

    def extent(self, values: dict[str, Any]) -> Extent:
        """Return how long a trial with these values trains. Raises UsageError for values that cannot be used together."""
        file, tables = str(self.space.raw.file), self.tables(values)
        model, _ = resolved(tables, self.images, file)
        schedule, per_step = Schedule(), 1
        for command in self.commands:
            if command == adversarial.STAGE:
                schedule, _, method = adversarial.planned(tables[command], {}, file)
            else:
                variant = _variant(command, tables[command], f"{file} [{command}]")
                schedule, config = split_table(tables[command], f"{file} [{command}]", Schedule, variant.settings)
                method = load_method(variant.method)
                method.require(schedule, vars(config))
            per_step = method.batches_per_step
        steps = steps_of(schedule, len(self.images.rows("train")), per_step)
        return Extent(steps, schedule.batch * per_step, parameters_of(model))


def plan_search(file: Path, data: Path) -> tuple[Plan, list[Extent]]:
    """Return the plan of a space file for prepared images, and the extents of its probes.

    Raises FileError for unusable files, UsageError that names the file, the table and the key for anything that cannot be searched.
    """
    raw, images = read_space(file), open_images(data)
    _require_commands(raw)
    known = ["model", "prior", *raw.head.train]
    for name in raw.tables:
        if name not in known:
            tables = ", ".join(f"[{table}]" for table in (HEAD, *known))
            raise UsageError(f"{file}: has a table [{name}], which this search does not use; its tables are {tables}")
    base = _base(raw, images)
    for name in known:
        if name in raw.tables and name not in base.tables:
            raise UsageError(f"{file}: has a table [{name}], which {base.name} has not; write it there, or name another recipe in [{HEAD}]")
    space = space_of(raw, _classes(raw, base.tables))
    for one in space.ranges:
        if one.place[1:] == ("variant",):
            raise UsageError(f"{file} [{one.place[0]}]: variant must be one value; make a search for each")
    plan = Plan(data, images, base, space)
    return plan, [plan.extent(values) for values in space.probes()]


def overlaid(base: Tables, tables: Tables, commands: tuple[str, ...]) -> Tables:
    """Return the tables of a recipe with some values replaced. Where `epochs` of a command is given, its recipe's `steps` are left out."""
    found = {name: dict(table) for name, table in base.items()}
    for name, table in tables.items():
        if name in commands and "epochs" in table:
            found[name].pop("steps", None)
        found[name] |= table
    return found


def _require_commands(raw: Raw) -> None:
    """Raise UsageError unless [search] names a training command, or one and then train-adversarial."""
    where, chain = f"{raw.file} [{HEAD}]", raw.head.train
    first = list(TRAINERS)
    if not chain or chain[0] not in first:
        raise UsageError(f"{where}: train = {chain[0]!r}; choose {listed(tuple(first))}" if chain else f"{where}: train is empty")
    if chain[1:] not in ((), (adversarial.STAGE,)):
        raise UsageError(f"{where}: after {chain[0]}, train can only have {adversarial.STAGE}, not {', '.join(chain[1:])}")
    for command in chain:
        table = raw.tables.get(command, {})
        if {"steps", "epochs"} <= table.keys():
            raise UsageError(f"{raw.file} [{command}]: steps and epochs both set the length of the training; leave one of them out")


def _base(raw: Raw, images: ImageSet) -> Choice:
    """Return the recipe that [search] names, or that of the command for these images, with a table for each command."""
    head, where = raw.head, f"{raw.file} [{HEAD}]"
    first = head.train[0]
    asked = raw.tables.get(first, {}).get("variant")
    overrides = {first: {"variant": asked}} if isinstance(asked, str) else {}
    trainer = TRAINERS[first]
    if isinstance(asked, str) and "" not in trainer.variants and asked not in trainer.variants:
        raise UsageError(f"{raw.file} [{first}]: variant = {asked!r}; choose {listed(tuple(trainer.variants))}")
    try:
        name = "" if "" in trainer.variants else chosen_variant(first, head.recipe, overrides, trainer.variants)
        choice = recipe_for_images(images, first, trainer.variants[name].family, recipe=head.recipe, size=head.size)
    except UsageError as error:
        words = str(error).replace("--recipe ", "recipe = ").replace("--size-of-model ", "size = ").replace("--variant ", "variant = ")
        raise UsageError(f"{where}: {words}") from error
    tables = choice.tables
    if adversarial.STAGE in head.train and adversarial.STAGE not in tables:
        rule = by_rule(adversarial.FAMILY, facts_of(images), head.size or choice.size, "")
        tables = {**tables, adversarial.STAGE: rule.tables[adversarial.STAGE]}
    return Choice(choice.name, tables, choice.size, choice.reason)


def _variant(command: str, table: dict[str, Any], where: str) -> Variant:
    """Return the variant of a command that its table chooses."""
    variants = TRAINERS[command].variants
    name = table.get("variant", next(iter(variants))) if "" not in variants else ""
    if name not in variants:
        raise UsageError(f"{where}: variant = {name!r}; choose {', '.join(variants)}")
    return variants[name]


def _classes(raw: Raw, base: Tables) -> dict[str, tuple[type, ...]]:
    """Return table → the dataclasses of its keys, for the tables that the space may have."""
    found: dict[str, tuple[type, ...]] = {table: _named(raw, base, table) for table in NETWORKS}
    for command in raw.head.train:
        if command == adversarial.STAGE:
            found[command] = (Schedule, AdversarialConfig, MatchingConfig)
        else:
            table = {**base.get(command, {}), **raw.tables.get(command, {})}
            variant = table.get("variant")
            shown = {} if isinstance(variant, dict) else table  # a range of variants is refused later
            found[command] = (Schedule, _variant(command, shown, f"{raw.file} [{command}]").settings)
    return found


def _named(raw: Raw, base: Tables, table: str) -> tuple[type, ...]:
    """Return the dataclasses of [model] or [prior]: one for each name that the space allows."""
    asked = raw.tables.get(table, {}).get("name", base.get(table, {}).get("name"))
    names: list[Any] = asked.get("choices", []) if isinstance(asked, dict) else [asked]
    for name in names:
        if name not in NETWORKS[table]:
            raise UsageError(f"{raw.file} [{table}]: name = {name!r} is unknown; choose {listed(tuple(NETWORKS[table]))}")
    return tuple(NETWORKS[table][name][0] for name in names)
