"""The end of a command in words: its numbers with readable names, where the pictures are, and what to do next."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from genrev_cli.cli.stderr import columns
from genrev_cli.report import words
from genrev_cli.result import Result

_NOTHING: tuple[Any, ...] = (None, "", [], {})
_INDENT = "  "


def end_lines(result: Result) -> Iterator[str]:
    """Yield the numbers of a result, one in each line, and its folder of pictures."""
    rows = [(label, text) for label, text in map(_row, _renamed(result.numbers).items()) if text]
    if result.pictures:
        rows.append(("Pictures", str(result.pictures)))
    width = max((len(label) for label, _ in rows), default=0)
    for label, text in rows:
        yield f"{label:<{width}}  {text}"


def _renamed(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers with the value of `fid` under the name of its metric."""
    if "metric" not in numbers or "value" not in numbers:
        return numbers
    return {numbers["metric"]: numbers["value"]} | {name: value for name, value in numbers.items() if name not in ("metric", "value")}


def _row(item: tuple[str, Any]) -> tuple[str, str]:
    """Return the words for a name and a value; '' for a value that says nothing."""
    name, value = item
    if any(value is nothing or (value == nothing and type(value) is type(nothing)) for nothing in _NOTHING):
        return name, ""
    return words.result_title(name), _value(name, value)


def _value(name: str, value: Any) -> str:
    if name == "seconds":
        return words.duration(float(value))
    if name.endswith("_sha256"):
        return str(value)[:12]
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if name == "sampler":
        return words.source(value)
    if name == "image_shape":
        return "×".join(map(str, value))
    if name in ("seed", "split", "theta", "epsilon"):
        return words.shown(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return words.number(value, 4)
    return words.shown(value)


def table_lines(table: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table. Columns that do not fit the terminal continue below, beside the first column again."""
    rows = sorted(table["rows"], key=len, reverse=True)  # the longest row has all columns in order
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in table["rows"])]
    yield table["title"]
    for number, block in enumerate(_blocks([max(len(line[i]) for line in cells) for i in range(len(names))])):
        if number:
            yield ""
        for line in cells:
            first, *others = ((line[i], width) for i, width in block)
            yield _INDENT + "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])
    for note in table["notes"]:
        yield from _wrapped(note)
    yield ""


def _blocks(widths: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """Yield the columns that stand side by side, (number, width) each; the first column is in every block."""
    room, first = columns() - len(_INDENT), (0, widths[0])
    block = [first]
    for column in enumerate(widths[1:], 1):
        if len(block) > 1 and sum(width + 2 for _, width in block) + column[1] > room:
            yield block
            block = [first]
        block.append(column)
    yield block


def _wrapped(note: str) -> list[str]:
    import textwrap

    return textwrap.wrap(note, columns(), initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def condition_lines(conditions: dict[str, Any]) -> Iterator[str]:
    """Yield the conditions under which tables were measured; those that say nothing are left out."""
    for label, text in map(_row, conditions.items()):
        if text:
            yield f"{label}: {text}"
