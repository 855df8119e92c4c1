"""Read a table about images: csv, tsv, text with spaces, json or jsonl, with or without a header, as UTF-8 or UTF-16."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genrev_cli.data.formats import EXTENSIONS
from genrev_cli.errors import FileError

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
MOST_BYTES = 1 << 29
_SNIFFED = 200  # lines
_SHORT = 8  # letters
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

_NAMED = re.compile(rf"\s*(.+(?:{'|'.join(map(re.escape, EXTENSIONS))}))\s+(\S.*?)\s*", re.I)

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """rows: cells as text, '' if missing. columns: their names, or () for a table without a header; the first row may then be one."""

    rows: Sequence[Row]
    columns: Row = ()


def read_table(data: bytes, name: str, where: str) -> Table:
    """Return the table in a file with this name; `where` begins the messages.

    Raises FileError for text in another encoding, invalid JSON, a layout that is not a table, or no row.
    """
    text = read_text(data, where)
    is_json = name.lower().endswith((".json", ".jsonl"))
    table = _from_json(_parsed(text, name, where), where) if is_json else _from_lines(text, where)
    if not table.rows and not table.columns:
        raise FileError(f"{where}: has no rows")
    return table


def read_text(data: bytes, where: str) -> str:
    """Return the text of a file in UTF-8 or UTF-16, with or without a byte order mark. Raises FileError for any other."""
    if len(data) > MOST_BYTES:
        raise FileError(f"{where}: has {len(data) / 1e6:.0f} MB, more than a table of images can sensibly have")
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), "")
    if not encoding:
        head = data[:1000]
        encoding = "utf-16-le" if head[1::2].count(0) > len(head) // 4 else "utf-16-be" if head[::2].count(0) > len(head) // 4 else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        raise FileError(f"{where}: is not text in UTF-8 or UTF-16; save it as UTF-8") from error
    if "\0" in text:
        raise FileError(f"{where}: is not a text file")
    return text


def _from_lines(text: str, where: str) -> Table:
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = _delimiter(lines[:_SNIFFED])
    if not delimiter:
        return _without_count(_spaced(lines), where)
    kept: dict[str, str] = {}  # one copy of each short cell: 40 columns of 200,000 rows have few values
    try:
        rows = [
            tuple(kept.setdefault(cell, cell) if len(cell) < _SHORT else cell for cell in map(str.strip, row))
            for row in csv.reader(io.StringIO(text), delimiter=delimiter)
            if "".join(row).strip()
        ]
    except csv.Error as error:
        raise FileError(f"{where}: not a table with '{delimiter}' between columns ({error})") from error
    return _without_count(rows, where)


def _delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that gives every line the same number of columns, two or more; '' for spaces."""
    for delimiter in ("\t", ",", ";", "|"):
        counts = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        if len(counts) == 1 and counts.pop() > 1:
            return delimiter
    return max(",\t;", key=lambda one: sum(one in line for line in lines)) if any(one in line for line in lines for one in ",\t;") else ""


def _spaced(lines: Sequence[str]) -> list[Row]:
    """Return the columns of lines with spaces between them. Names that end like an image's may have spaces themselves."""
    rows = [tuple(line.split()) for line in lines]
    if {len(row) for row in rows} == {2} or _is_counted(rows):
        return rows
    named = [_NAMED.fullmatch(line) for line in lines]
    if all(named[1:]):
        cells = [(match[1], match[2]) if match else tuple(line.rsplit(None, 1)) for match, line in zip(named, lines, strict=True)]
        split = [(name, *rest.split()) for name, rest in (cell for cell in cells if len(cell) == 2)]
        return split if len(split) == len(cells) and len({len(row) for row in split}) == 1 else cells
    return rows if len({len(row) for row in rows}) == 1 else [tuple(line.rsplit(None, 1)) for line in lines]


def _is_counted(rows: Sequence[Row]) -> bool:
    """Return True if a table begins with the number of its rows, as CelebA's do, and the header then lacks the name of the first column."""
    return len(rows) > 2 and len(rows[0]) == 1 and rows[0][0].isdigit() and len(rows[2]) == len(rows[1]) + 1


def _without_count(rows: list[Row], where: str) -> Table:
    columns: Row = ()
    if _is_counted(rows):
        columns, rows = ("name", *rows[1]), rows[2:]
    width = len(columns) or (len(rows[0]) if rows else 0)
    for count, row in enumerate(rows, 1):
        if len(row) != width:
            raise FileError(f"{where}: row {count} has {len(row)} columns, but others have {width}: {','.join(row)[:60]}")
    if rows and width < 2:
        raise FileError(f"{where}: has one column, but a name and a value are needed: {rows[0][0][:60]}")
    return Table(rows, columns)


def _parsed(text: str, name: str, where: str) -> Any:
    try:
        if name.lower().endswith(".jsonl"):
            found: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{where}: not valid JSON ({error})") from error
    return found


def _from_json(found: Any, where: str) -> Table:
    """Return the table of {"labels": [[name, label], …]}, {name: label}, [[name, label], …] or [{column: value, …}, …]."""
    if isinstance(found, dict) and set(found) >= {"labels"} and not isinstance(found["labels"], str | int):
        if found["labels"] is None:
            return Table([], ("name", "label"))
        found = found["labels"]
    if isinstance(found, dict):
        found = [{"name": name, **(value if isinstance(value, dict) else {"label": value})} for name, value in found.items()]
    if not isinstance(found, list) or not found:
        raise FileError(f"{where}: holds no list of names and labels")
    records = [_record(entry) for entry in found]
    columns = tuple(dict.fromkeys(name for record in records for name in record or {}))
    if None in records or len(columns) < 2:
        odd = records.index(None) if None in records else 0
        raise FileError(f"{where}: entry {odd + 1} is neither [name, label] nor a record with a name: {json.dumps(found[odd])[:80]}")
    return Table([tuple(_cell((record or {}).get(name)) for name in columns) for record in records], columns)


def _record(entry: Any) -> dict[str, Any] | None:
    """Return column → value of an entry, without values that are no single ones; None if it is no record."""
    if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str):
        entry = {"name": entry[0], "label": entry[1]}
    if not isinstance(entry, dict):
        return None
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, list) and value and all(isinstance(one, int | float) for one in value):
            flat |= {f"{name}[{i}]": one for i, one in enumerate(value)}
        elif not isinstance(value, dict | list):
            flat[name] = value
    return flat


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else re.sub(r"\s+", " ", str(value))
