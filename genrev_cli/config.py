"""Build frozen dataclasses from tables (TOML, JSON), with errors that name each mistake."""

import difflib
import math
import re
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from genrev_cli.errors import FileError, SettingError, UsageError
from genrev_cli.plugins import HINT
from genrev_cli.settings.base import written
from genrev_cli.settings.trainers import TRAINERS, flag_that_sets

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
D = TypeVar("D", bound="DataclassInstance")

_TABLES = ("model", "prior", "train-adversarial", "train-gan", "classifier", "fit-features")


def recipe_tables() -> list[str]:
    """Return the names of the tables that a recipe may have: networks, prior, and settings of each training command."""
    return [*_TABLES, *TRAINERS]


class Table(dict[str, Any]):
    """A table of a recipe in which options have replaced some values. flags: key → flag of the option that did."""

    def __init__(self, values: Mapping[str, Any], flags: Mapping[str, str]) -> None:
        super().__init__(values)
        self.flags = flags

    def __or__(self, other: dict[str, Any]) -> "Table":  # type: ignore[override]  # all keys are strings
        return Table({**self, **other}, self.flags)


def without(table: dict[str, Any], *keys: str) -> Table:
    """Return a table without some keys."""
    return Table({key: value for key, value in table.items() if key not in keys}, flags_of(table))


def flags_of(table: dict[str, Any]) -> Mapping[str, str]:
    """Return key → flag of the keys that options have replaced."""
    return table.flags if isinstance(table, Table) else {}


def from_table(cls: type[D], table: dict[str, Any], where: str) -> D:
    """Return an instance of the dataclass `cls` with the values of a table; `where` names the table in error messages.

    Raises UsageError for an unknown key, a missing key, or a value that is not allowed; it names the option that gave a value.
    """
    return construct(cls, table, where, lambda made: made)


def construct(settings: type[D], table: dict[str, Any], where: str, make: Callable[[D], T]) -> T:
    """Return make(an instance of the dataclass `settings` with the values of a table).

    Raises UsageError like `from_table`, also for what `make` refuses.
    """
    flags = flags_of(table)
    refuse_unknown(table, [field.name for field in fields(settings)], where)
    try:
        return make(settings(**_converted(settings, table)))
    except SettingError as error:
        flag = flags.get(re.split(r"[:\[]", error.key)[0])
        raise UsageError(error.of_option(flag) if flag else f"{where}: {error.of_table()}") from error
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _converted(cls: type, table: dict[str, Any], within: str = "") -> dict[str, Any]:
    """Return the values of a table with the types of the fields of `cls`. within: the place of an inner table in its outer one."""
    hints = get_type_hints(cls)
    for field in fields(cls):
        if field.name not in table and field.default is MISSING and field.default_factory is MISSING:
            raise UsageError(f"{within}key '{field.name}' is missing")
    return {key: _convert(hints[key], value, f"{within}{key}") for key, value in table.items()}


def defaults_of(cls: type) -> dict[str, Any]:
    """Return key → default for the keys of a dataclass that have a default; `key[]` → those of the tables in a list, at any depth."""
    own = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(cls)
        if field.default is not MISSING or field.default_factory is not MISSING
    }
    inner = {name: get_args(kind)[0] for name, kind in get_type_hints(cls).items() if get_origin(kind) is tuple}
    return own | {f"{name}[]": defaults_of(kind) for name, kind in inner.items() if isinstance(kind, type) and is_dataclass(kind)}


def refuse_unknown(table: dict[str, Any], known: list[str], where: str, hint: str = "") -> None:
    """Raise UsageError, which names the table as `where`, for a key of a table that is not known. hint: more words after the cure."""
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            cure = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
            flag = flags_of(table).get(key)
            raise UsageError(
                f"{flag} {written(table[key])}: {where} has no key '{key}' ({cure}); leave it out"
                if flag
                else f"{where}: unknown key '{key}'; {cure}{hint}"
            )


def _convert(kind: Any, value: Any, place: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):  # X | None, or X | tuple[X, ...]
        listed = isinstance(value, list | tuple)
        kind = min((arg for arg in get_args(kind) if arg is not type(None)), key=lambda arg: (get_origin(arg) is tuple) != listed)
        return None if value is None else _convert(kind, value, place)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise SettingError(place, "", f"must be a list, not {value!r}")
        inner = get_args(kind)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(value):
            raise SettingError(place, "", f"must have {len(kinds)} values, not {len(value)}")
        return tuple(_convert(k, v, f"{place}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if isinstance(kind, type) and is_dataclass(kind):
        if isinstance(value, kind):
            return value
        if not isinstance(value, dict):
            raise SettingError(place, "", f"must be a table, not {value!r}")
        refuse_unknown(value, [field.name for field in fields(kind)], place)
        return kind(**_converted(kind, value, f"{place}: "))
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise SettingError(place, "", f"must be a finite number, not {value}")
        return float(value)
    if kind in (int, float, str, bool) and (not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))):
        raise SettingError(place, "", f"must be {kind.__name__}, not {value!r}")
    return value


def recipe_names() -> list[str]:
    """Return the names of the built-in recipes."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in resources.files("genrev_cli.recipes").iterdir() if entry.name.endswith(".toml")
    )


def read_recipe(recipe: str) -> dict[str, Any]:
    """Return the tables of a recipe, given a built-in name or the path of a TOML file.

    Raises UsageError if there is no such recipe or it has an unknown table, FileError if it is not TOML.
    """
    path = Path(recipe)
    if recipe in recipe_names():
        text = resources.files("genrev_cli.recipes").joinpath(f"{recipe}.toml").read_text(encoding="utf-8")
    elif path.suffix == ".toml" and path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
    else:
        if path.suffix == ".toml":
            raise UsageError(f"--recipe {recipe}: no such file")
        close = difflib.get_close_matches(recipe, recipe_names(), 1)
        cure = f"did you mean '{close[0]}'?" if close else "'genrev recipes' lists all; a .toml file is possible too"
        raise UsageError(f"--recipe {recipe}: no such recipe; {cure}")
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number with thousands of digits raises a plain ValueError
        raise FileError(f"{recipe}: not valid TOML ({error})") from error
    refuse_unknown(tables, recipe_tables(), recipe, f" ({HINT})")
    for name in tables:
        table_of(tables, name, recipe)
    return tables


def overlaid(recipe: dict[str, Any], overrides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a recipe with some values replaced; overrides: table → key → value."""
    return recipe | {
        name: Table({**recipe.get(name, {}), **values}, {key: flag_that_sets(name, key) for key in values})
        for name, values in overrides.items()
        if values
    }


def table_of(recipe: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """Return the table `name` of a recipe.

    Raises UsageError if the recipe has no such table.
    """
    table = recipe.get(name)
    if not isinstance(table, dict):
        there = ", ".join(f"[{key}]" for key in recipe) or "none"
        raise UsageError(
            f"{where}: has no table [{name}], which is needed here; its tables are {there}"
            if name not in recipe
            else f"{where}: {name} is not a table"
        )
    return table


def split_table(table: dict[str, Any], where: str, *classes: type) -> tuple[Any, ...]:
    """Return one instance of each dataclass from a table with the keys of all of them.

    Raises UsageError like `from_table`.
    """
    owner = {field.name: cls for cls in reversed(classes) for field in fields(cls)}
    refuse_unknown(table, list(owner), where)
    return tuple(from_table(cls, without(table, *(key for key in table if owner[key] is not cls)), where) for cls in classes)


def build(registry: dict[str, tuple[type, Callable[..., T]]], table: dict[str, Any], where: str, hint: str = "") -> T:
    """Build the object of a table with a `name`. registry: name → (dataclass of the settings, function to call with them).

    Raises UsageError for an unknown name, with `hint` as a cure, and like `construct`.
    """
    name = table.get("name")
    if name not in registry:
        raise UsageError(f"{where}: name = {name!r} is unknown; choose {', '.join(registry)}{hint}")
    settings, make = registry[name]
    return construct(settings, without(table, "name"), where, lambda made: make(**vars(made)))
