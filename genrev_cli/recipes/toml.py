"""Write the tables of a rule as TOML, with the reason for each value beside it, and as plain tables."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from genrev_cli.recipes.rules.rule import Reasoned, Tables, unreasoned

COLUMNS = 140
_COMMENT = 33


def plain(tables: Tables) -> dict[str, dict[str, Any]]:
    """Return the tables without reasons."""
    return {name: unreasoned(table) for name, table in tables.items()}


def to_toml(title: list[str], tables: Tables) -> str:
    """Return the tables as a TOML file that reads back as `plain`. title: sentences above it."""
    lines = [f"# {line}" for text in title for line in textwrap.wrap(text, COLUMNS - 2)]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(line for key, entry in table.items() for line in _lines(key, entry))]
    return "\n".join(lines) + "\n"


def _lines(key: str, entry: Any) -> Iterator[str]:
    """Yield `key = value` with its comment; a list of tables has one line for each."""
    value, comment = (entry.value, f"# {entry.why}") if isinstance(entry, Reasoned) else (entry, "")
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield f"{f'{key} = [':<{_COMMENT}}{comment}".rstrip()
        yield from (f"    {_written(one)}," for one in value)
        yield "]"
    else:
        yield f"{f'{key} = {_written(value)}':<{_COMMENT}}{' ' if comment else ''}{comment}".rstrip()


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_written(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value)  # strings, numbers, true and false are the same in TOML
