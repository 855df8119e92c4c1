"""Build frozen dataclasses from tables (TOML, JSON), with errors that name each mistake."""

import difflib
import math
import tomllib
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from genrev_cli.errors import FileError, UsageError
from genrev_cli.settings.trainers import TRAINERS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
D = TypeVar("D", bound="DataclassInstance")

_TABLES = ("model", "prior", "train-adversarial", "train-gan", "classifier", "fit-features")


def recipe_tables() -> list[str]:
    """Return the names of the tables that a recipe may have: networks, prior, and settings of each training command."""
    return [*_TABLES, *TRAINERS]


def from_table(cls: type[D], table: dict[str, Any], where: str) -> D:
    """Return an instance of the dataclass `cls` with the values of a table; `where` names the table in error messages.

    Raises UsageError for an unknown key, a missing key, or a value of the wrong type.
    """
    hints = get_type_hints(cls)
    known = [field.name for field in fields(cls)]
    _refuse_unknown(table, known, where)
    for field in fields(cls):
        if field.name not in table and field.default is MISSING and field.default_factory is MISSING:
            raise UsageError(f"{where}: key '{field.name}' is missing")
    return cls(**{key: _convert(hints[key], value, f"{where}: {key}") for key, value in table.items()})


def defaults_of(cls: type) -> dict[str, Any]:
    """Return key → default for the keys of a dataclass that have a default; `key[]` → those of the tables in a list, at any depth."""
    own = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(cls)
        if field.default is not MISSING or field.default_factory is not MISSING
    }
    inner = {name: get_args(kind)[0] for name, kind in get_type_hints(cls).items() if get_origin(kind) is tuple}
    return own | {f"{name}[]": defaults_of(kind) for name, kind in inner.items() if isinstance(kind, type) and is_dataclass(kind)}


def _refuse_unknown(table: dict[str, Any], known: list[str], where: str) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            cure = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
            raise UsageError(f"{where}: unknown key '{key}'; {cure}")


def _convert(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):  # X | None
        return None if value is None else _convert(next(arg for arg in get_args(kind) if arg is not type(None)), value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where}: must be a list, not {value!r}")
        inner = get_args(kind)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(value):
            raise UsageError(f"{where}: must have {len(kinds)} values, not {len(value)}")
        return tuple(_convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if isinstance(kind, type) and is_dataclass(kind):
        if isinstance(value, kind):
            return value
        if not isinstance(value, dict):
            raise UsageError(f"{where}: must be a table, not {value!r}")
        return from_table(kind, value, where)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise UsageError(f"{where}: must be a finite number, not {value}")
        return float(value)
    if kind in (int, float, str, bool) and (not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))):
        raise UsageError(f"{where}: must be {kind.__name__}, not {value!r}")
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
    _refuse_unknown(tables, recipe_tables(), recipe)
    for name in tables:
        table_of(tables, name, recipe)
    return tables


def overlaid(recipe: dict[str, Any], overrides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a recipe with some values replaced; overrides: table → key → value."""
    return recipe | {name: {**recipe.get(name, {}), **values} for name, values in overrides.items() if values}


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
    _refuse_unknown(table, list(owner), where)
    return tuple(from_table(cls, {key: value for key, value in table.items() if owner[key] is cls}, where) for cls in classes)


def build(registry: dict[str, tuple[type, Callable[..., T]]], table: dict[str, Any], where: str) -> T:
    """Build the object of a table with a `name`. registry: name → (dataclass of the settings, function to call with them).

    Raises UsageError for an unknown name, and like `from_table`.
    """
    name = table.get("name")
    if name not in registry:
        raise UsageError(f"{where}: name = {name!r} is unknown; choose {', '.join(registry)}")
    settings, make = registry[name]
    return make(**vars(from_table(settings, {key: value for key, value in table.items() if key != "name"}, where)))
