"""All trainers: those that the other files of this folder define, and those of plugins."""

from dataclasses import fields
from importlib import import_module
from pkgutil import iter_modules

from genrev_cli import settings
from genrev_cli.plugins import register
from genrev_cli.settings.base import Spec, flag_of, spec_of
from genrev_cli.settings.trainer import CLASSIFIER_TABLES, Trainer

_READERS = ("trainers", "commands")  # they import this file


def _built_in() -> dict[str, Trainer]:
    names = [module.name for module in iter_modules(settings.__path__) if module.name not in _READERS]
    modules = [import_module(f"{settings.__name__}.{name}") for name in names]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Trainer)]
    return {trainer.name: trainer for trainer in sorted(found, key=lambda trainer: trainer.place)}


TRAINERS = _built_in()
"""Name of the command → trainer."""


def register_trainer(trainer: Trainer) -> None:
    """Add the trainer of a plugin: `genrev NAME` becomes a command. Raises UsageError for a name that is taken."""
    register("trainer", trainer.name, TRAINERS, trainer)


def flag_that_sets(table: str, key: str) -> str:
    """Return the flag of the option that replaces a key of a recipe's table."""
    tables = [*CLASSIFIER_TABLES, *(option for trainer in TRAINERS.values() for option in trainer.tables)]
    specs = {option.key: option.spec for option in tables if option.table == table}
    for variant in TRAINERS[table].variants.values() if table in TRAINERS else ():
        specs |= {field.name: spec_of(field) for field in fields(variant.settings)}  # type: ignore[arg-type]  # every subclass is a dataclass
    return flag_of(key, specs.get(key, Spec()))
