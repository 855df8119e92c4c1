"""The space of a search: a TOML file with the tables of a recipe, in which ranges stand for some values.

lr = { low = 1e-4, high = 1e-2, log = true }        a number between two others
dim = { low = 4, high = 16, step = 4 }              whole numbers where the setting is one
batch = { choices = [64, 128] }                     one of some values, lists included
"""

import json
import math
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from genrev_cli.config import from_table, refuse_unknown
from genrev_cli.errors import FileError, UsageError
from genrev_cli.settings.search import SpaceConfig

HEAD = "search"
"""The table that says what is trained; the others are those of a recipe."""

_KEYS = ("low", "high", "log", "step", "choices")
_MARKS = {"low", "high", "choices"}
"""A table with one of these keys is a range."""

_LARGEST = 2**53
"""Largest whole number that Optuna can draw without rounding."""

Tables = dict[str, dict[str, Any]]
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Numbers:
    """Numbers from low to high, both included. whole: only whole ones. log: drawn by their logarithm. step: between them; 0 for any."""

    low: float
    high: float
    _: KW_ONLY
    whole: bool = False
    log: bool = False
    step: float = 0

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to try before the search: if both ends can be used, so can what is between them."""
        return self.low, self.high

    def __str__(self) -> str:
        more = [f"step {self.step:g}"] * bool(self.step) + ["log"] * self.log
        return f"{self.low:g} to {self.high:g}" + (f" ({', '.join(more)})" if more else "")


@dataclass(frozen=True)
class Choices:
    """Some values: numbers, words, lists, tables."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to try before the search: all of them."""
        return self.values

    @property
    def labels(self) -> list[str]:
        """The values as JSON, in their order."""
        return [json.dumps(value) for value in self.values]

    def __str__(self) -> str:
        return ", ".join(self.labels)


@dataclass(frozen=True)
class Range:
    """A range of the space. place: the table, the key, and where it is in a list: ('model', 'scales', 0, 'hidden')."""

    place: Place
    values: Numbers | Choices

    @property
    def name(self) -> str:
        """The place as text: 'pretrain-recon.lr', 'model.scales[0].hidden'."""
        return str(self.place[0]) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place[1:])


@dataclass(frozen=True)
class Raw:
    """A space file as it is read: its [search], and its other tables."""

    file: Path
    head: SpaceConfig
    tables: Tables


@dataclass(frozen=True)
class Space:
    """A space. tables: those of the file, with a `Range` in the place of each range."""

    raw: Raw
    tables: Tables

    @property
    def ranges(self) -> list[Range]:
        """All ranges, in the order of the file."""
        return list(_ranges_in(self.tables))

    def filled(self, values: Mapping[str, Any]) -> Tables:
        """Return the tables with a value in the place of each range. values: name of a range → value."""
        return _filled(self.tables, values)

    def probes(self) -> Iterator[dict[str, Any]]:
        """Yield values for all ranges: for every end and choice one combination that has it."""
        first = {one.name: one.values.ends[0] for one in self.ranges}
        yield first
        for one in self.ranges:
            for value in one.values.ends[1:]:
                yield first | {one.name: value}


def _ranges_in(value: Any) -> Iterator[Range]:
    if isinstance(value, Range):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _ranges_in(inner)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Range):
        return values[value.name]
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    return [_filled(inner, values) for inner in value] if isinstance(value, list) else value


def read_space(file: Path) -> Raw:
    """Read a space file. Raises FileError if it is missing or no TOML, UsageError for a wrong [search] or a table that is none."""
    if not file.is_file():
        raise FileError(f"{file}: no such file; docs/search.md shows what a space looks like")
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{file}: not valid TOML ({error})") from error
    for name, table in found.items():
        if not isinstance(table, dict):
            raise UsageError(f"{file}: {name} = {table!r} is in no table; [{HEAD}] has train, recipe and size")
    if HEAD not in found:
        raise UsageError(f'{file}: has no table [{HEAD}], which says what to train: train = "pretrain-recon"')
    head = found.pop(HEAD)
    if isinstance(head.get("train"), str):
        head = {**head, "train": [head["train"]]}
    return Raw(file, from_table(SpaceConfig, head, f"{file} [{HEAD}]"), found)


def space_of(raw: Raw, classes: Mapping[str, Sequence[type]]) -> Space:
    """Return the space of a file. classes: table → dataclasses whose fields are its keys.

    Raises UsageError for an unknown key, for a wrong range, and if there is none.
    """
    tables: Tables = {}
    for name, table in raw.tables.items():
        where = f"{raw.file} [{name}]"
        kinds = {key: kind for one in reversed(classes[name]) for key, kind in get_type_hints(one).items() if key in _names(one)}
        if "name" not in kinds and name in ("model", "prior"):
            kinds["name"] = str
        refuse_unknown(table, list(kinds), where)
        tables[name] = {key: _placed(value, kinds[key], (name, key), where=f"{where}: {key}") for key, value in table.items()}
    space = Space(raw, tables)
    if not space.ranges:
        raise UsageError(
            f"{raw.file}: has no range to search; write one in the place of a value: lr = {{ low = 1e-4, high = 1e-2, log = true }}"
        )
    return space


def _names(cls: type) -> set[str]:
    return {field.name for field in fields(cls)}


def _placed(value: Any, kind: Any, place: Place, *, where: str) -> Any:
    """Return a value with a `Range` in the place of each range in it. kind: type of the setting. where: names it in errors."""
    if isinstance(value, dict) and _MARKS & value.keys():
        return Range(place, _range(value, kind, where))
    if isinstance(value, dict):
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        if hints:
            refuse_unknown(value, list(hints), where)
        return {key: _placed(inner, hints.get(key), (*place, key), where=f"{where}: {key}") for key, inner in value.items()}
    if isinstance(value, list):
        inner_kinds = get_args(_present(kind)) if get_origin(_present(kind)) is tuple else ()
        return [
            _placed(one, _entry_kind(inner_kinds, number), (*place, number), where=f"{where}[{number}]") for number, one in enumerate(value)
        ]
    return value


def _entry_kind(kinds: tuple[Any, ...], number: int) -> Any:
    """Return the type of an entry of a list. kinds: (X, ...) or (X, Y)."""
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return kinds[0]
    return kinds[number] if number < len(kinds) else None


def _present(kind: Any) -> Any:
    """Return X for a type X | None, and other types as they are."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(one for one in get_args(kind) if one is not type(None))
    return kind


def _range(entry: dict[str, Any], kind: Any, where: str) -> Numbers | Choices:
    refuse_unknown(entry, list(_KEYS), where)
    if "choices" in entry:
        return _choices(entry, where)
    kind = _present(kind)
    if kind not in (int, float):
        raise UsageError(f"{where}: low and high are for numbers, and this setting is none; use choices = [ … ]")
    for key in ("low", "high"):
        if key not in entry:
            raise UsageError(f"{where}: a range needs low and high; add {key}")
    numbers = [entry["low"], entry["high"], entry.get("step", 1)]
    if any(not _is_number(one, kind) for one in numbers):
        wanted = "whole numbers" if kind is int else "finite numbers"
        raise UsageError(f"{where}: low, high and step must be {wanted}, not {_text(entry)}")
    low, high, step, log = kind(entry["low"]), kind(entry["high"]), entry.get("step", 0), entry.get("log", False)
    if not isinstance(log, bool):
        raise UsageError(f"{where}: log = {log!r}; must be true or false")
    if low >= high:
        raise UsageError(f"{where}: low = {low:g} must be less than high = {high:g}")
    if log and low <= 0:
        raise UsageError(f"{where}: low = {low:g} must be more than 0 with log = true")
    if "step" in entry:
        _check_step(float(low), float(high), step, log=log, where=where)
    return Numbers(low, high, whole=kind is int, log=log, step=step)


def _check_step(low: float, high: float, step: float, *, log: bool, where: str) -> None:
    if log:
        raise UsageError(f"{where}: step and log = true exclude each other; leave one of them out")
    if step <= 0:
        raise UsageError(f"{where}: step = {step:g} must be more than 0")
    if not math.isclose((high - low) / step, round((high - low) / step), rel_tol=1e-9):
        raise UsageError(f"{where}: high = {high:g} is not low = {low:g} plus some steps of {step:g}; change one of them")


def _choices(entry: dict[str, Any], where: str) -> Choices:
    values = entry["choices"]
    if len(entry) > 1:
        raise UsageError(f"{where}: choices stand alone; leave out {', '.join(key for key in entry if key != 'choices')}")
    if not isinstance(values, list) or len(values) < 2:
        raise UsageError(f"{where}: choices must be a list of two values or more; a single value is written without it")
    try:
        found = Choices(tuple(values))
        labels = found.labels
    except TypeError as error:
        raise UsageError(f"{where}: choices must be numbers, words, lists or tables, not dates") from error
    if len(set(labels)) < len(labels):
        raise UsageError(f"{where}: choices must differ: {found}")
    return found


def _is_number(value: Any, kind: type) -> bool:
    allowed = (int,) if kind is int else (int, float)
    if not isinstance(value, allowed) or isinstance(value, bool):
        return False
    return abs(value) <= _LARGEST if isinstance(value, int) else math.isfinite(value)


def _text(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {json.dumps(value, default=str)}" for key, value in entry.items())
