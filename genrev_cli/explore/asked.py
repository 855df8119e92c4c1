"""Read requests of the page from JSON that anybody may have written: every value has the right type and is within its bounds."""

import math
from dataclasses import dataclass
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.settings.edits import Edits

KINDS = ("data", "prior", "map", "plane")
MOST_STRENGTH, MOST_NUMBER, MOST_ENTRIES, MOST_NAME = 100.0, 2**31 - 1, 256, 200


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A photo that is not uploaded. kind: 'data' (split, number), 'prior' (seed, number, temperature, label; −1: all), 'map' (number), or
    'plane' (x, y): the point of the map's plane.
    """

    kind: str
    split: str = "test"
    number: int = 0
    seed: int = 0
    temperature: float = 1.0
    label: int = -1
    x: float = 0.0
    y: float = 0.0


NONE = Edits()


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Edits of a photo. rest: share of the rest of the latent that is kept; 1 is all, 0 leaves the restricted latent."""

    edits: Edits = NONE
    rest: float = 1.0


def asked_of(table: Any) -> Asked:
    """Return what a table of JSON asks for. Raises UsageError for anything else."""
    _require(table, ("kind", "split", "number", "seed", "temperature", "label", "x", "y"))
    if table.get("kind") not in KINDS:
        raise UsageError(f"kind: choose {', '.join(KINDS)}")
    split = table.get("split", "test")
    if split not in ("train", "val", "test", "all"):
        raise UsageError("split: choose train, val, test or all")
    return Asked(
        kind=table["kind"],
        split=split,
        number=whole(table, "number", 0, at_most=MOST_NUMBER),
        seed=whole(table, "seed", 0, at_most=MOST_NUMBER),
        temperature=number(table, "temperature", 1.0, at_least=0, at_most=10),
        label=whole(table, "label", -1, at_least=-1, at_most=MOST_NUMBER),
        x=number(table, "x", 0.0, at_least=-1e4, at_most=1e4),
        y=number(table, "y", 0.0, at_least=-1e4, at_most=1e4),
    )


def changes_of(table: Any) -> Changes:
    """Return the edits that a table of JSON describes: {move: {name: strength}, dims: {dimension: strength}, rest: share}."""
    _require(table, ("move", "dims", "toward", "rest"))
    dims = _strengths(table, "dims")
    if not all(key.isascii() and key.isdecimal() and len(key) < 10 for key, _ in dims):
        raise UsageError("dims: keys must be numbers of active dimensions")
    numbered = tuple((int(key), strength) for key, strength in dims)
    edits = Edits(move=_strengths(table, "move"), dims=numbered, toward=_strengths(table, "toward"))
    return Changes(edits=edits, rest=number(table, "rest", 1.0, at_least=0, at_most=1))


def number(table: dict[str, Any], key: str, default: float, *, at_least: float, at_most: float) -> float:
    """Return a number of a table. Raises UsageError for anything else, and outside of its bounds."""
    return _number(table.get(key, default), key, at_least, at_most)


def whole(table: dict[str, Any], key: str, default: int, *, at_least: int = 0, at_most: int) -> int:
    """Return a whole number of a table. Raises like `number`."""
    found = number(table, key, default, at_least=at_least, at_most=at_most)
    if found != int(found):
        raise UsageError(f"{key}: must be a whole number")
    return int(found)


def _number(value: Any, key: str, at_least: float, at_most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not at_least <= value <= at_most:
        raise UsageError(f"{key}: must be a number from {at_least:g} to {at_most:g}")
    return float(value)


def _strengths(table: dict[str, Any], key: str) -> tuple[tuple[str, float], ...]:
    found = table.get(key, {})
    if not isinstance(found, dict) or len(found) > MOST_ENTRIES or any(len(name) > MOST_NAME for name in found):
        raise UsageError(f"{key}: must be an object of at most {MOST_ENTRIES} numbers")
    numbers = ((name, float(_number(value, key, -MOST_STRENGTH, MOST_STRENGTH))) for name, value in found.items())
    return tuple((name, value) for name, value in numbers if value)


def _require(table: Any, keys: tuple[str, ...]) -> None:
    if not isinstance(table, dict):
        raise UsageError("an object is needed")
    if unknown := sorted(set(table) - set(keys)):
        raise UsageError(f"unknown key '{unknown[0][:40]}'")
