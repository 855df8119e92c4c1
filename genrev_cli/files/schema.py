"""The types of all header values that commands use, checked once when a header is read. Other values may be of any type."""

from collections.abc import Mapping
from typing import Any

_LARGEST = 1 << 62
"""Largest number that a header needs, of either sign."""

_TEXT, _NUMBER, _COUNT, _TABLE, _LIST = "text", "a number", "a count", "a table", "a list"
_TEXTS, _COUNTS, _TABLES = "a table of texts", "a table of counts", "a list of tables"
_SHAPE, _NAMES = "a shape (C, H, W)", "a list or null"

_MADE_BY = {
    "command": _TEXT, "utc": _TEXT, "git": _TEXT, "machine": _TEXT, "device": _TEXT, "seconds": _NUMBER, "seed": _COUNT,
    "processes": _COUNT, "versions": _TEXTS,
}  # fmt: skip

_ANY_KIND = {
    "stage": _TEXT, "schedule": _TABLE, "method": _TABLE, "identity": _TABLE, "numbers": _TABLE, "fit": _TABLE, "plugins": _TABLE,
    "recipe_tables": _TABLE, "preparation": _TABLE, "image_shape": _SHAPE,
}  # fmt: skip

_PICTURE = {
    "shows": _TEXT, "sampler": _TEXT, "n": _COUNT, "steps": _COUNT, "seed": _COUNT, "temperature": _NUMBER, "layout": _TABLE, "dims": _LIST,
    "labels": _LIST,
}  # fmt: skip

_KINDS: dict[str, dict[str, str]] = {
    "data": {"source": _TABLE, "source.name": _TEXT, "counts": _COUNTS, "classes": _NAMES, "damaged": _LIST},
    "checkpoint": {
        "model": _TABLE, "model.name": _TEXT, "model.image_shape": _SHAPE, "prior": _TABLE, "prior.name": _TEXT, "prior.dim": _COUNT,
        "prior.latent_dim": _COUNT, "score": _TABLE, "scores": _TABLES,
    },
    "sampler": {"sampler": _TABLE, "sampler.name": _TEXT},
    "codes": {"dim": _COUNT, "split": _TEXT, "latent": _TEXT, "space": _TEXT},
    "directions": {"dim": _COUNT, "latent": _TEXT, "space": _TEXT, "directions": _TABLES},
    "samples": _PICTURE,
    "picture": _PICTURE,
}  # fmt: skip
"""Kind → key, or keys with a dot between them → type of its value. A key may be missing."""


def wrong_value(kind: str, config: Mapping[str, Any], made_by: Mapping[str, Any]) -> str:
    """Return the first value of a header that has not the type that commands expect, as "'key' is not a number"; '' if all are right."""
    for table, types in ((made_by, _MADE_BY), (config, {**_ANY_KIND, **_KINDS.get(kind, {})})):
        for key, expected in types.items():
            outer, _, inner = key.partition(".")
            value = table.get(outer, _ABSENT)
            if inner:
                value = value.get(inner, _ABSENT) if isinstance(value, Mapping) else _ABSENT
            if value is not _ABSENT and not _is(value, expected):
                return f"'{key}' is not {expected}"
    return ""


_ABSENT = object()


def _is(value: Any, expected: str) -> bool:
    if expected == _TEXT:
        return isinstance(value, str)
    if expected == _NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST
    if expected == _COUNT:
        return isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST
    if expected == _NAMES:
        return value is None or isinstance(value, list)
    if expected == _SHAPE:
        return isinstance(value, list) and len(value) == 3 and all(_is(side, _COUNT) for side in value)
    if expected in (_LIST, _TABLES):
        return isinstance(value, list) and (expected == _LIST or all(isinstance(one, dict) for one in value))
    each = {_TEXTS: _TEXT, _COUNTS: _COUNT}.get(expected)
    return isinstance(value, dict) and (each is None or all(_is(one, each) for one in value.values()))
