"""Lines of text that fit a terminal."""

import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

COLUMNS = 100
"""Width where stdout is no terminal and COLUMNS is not set."""
_LEAST = 40


def width() -> int:
    """Return how many columns a line may have."""
    return max(shutil.get_terminal_size((COLUMNS, 24)).columns, _LEAST)


def head_lines(machine: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each part of a machine's description, wrapped below its own text: `versions  genrev 0.1, python 3.11, …`."""
    longest = max(len(_spoken(name)) for name in machine)
    for name, value in machine.items():
        for part, text in enumerate(_parts(value)):
            yield from wrapped(f"{'' if part else _spoken(name):<{longest}}  ", text)


def row_lines(state: str, name: str, detail: str, longest: int) -> list[str]:
    """Return one line of the table: state, check, detail; a long detail continues below itself."""
    return list(wrapped(f"{state:<4}  {name:<{longest}}  ", detail))


def wrapped(begin: str, text: str) -> Iterator[str]:
    """Yield `begin` and the text beside it, wrapped; a long path or word is not broken."""
    room = max(width() - len(begin), 20)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    yield (begin + lines[0]).rstrip()
    for line in lines[1:]:
        yield " " * len(begin) + line


def _parts(value: Any) -> list[str]:
    """Return a value as lines: one for each entry of a list, or of a table of tables."""
    if isinstance(value, list):
        return [_said(entry) for entry in value] or ["none"]
    if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
        return [f"{name}: {_said(inner)}" for name, inner in value.items()]
    return [_said(value)]


def _said(value: Any) -> str:
    """Return a value in words."""
    if isinstance(value, dict):
        return ", ".join(f"{_spoken(name)} {_said(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _spoken(name: str) -> str:
    """Return a key as words; environment variables, in capitals, stay as they are."""
    return name if name.isupper() else name.replace("_gb", " (GB)").replace("_", " ")
