"""The one place that prints. stdout is exactly the result; everything else goes to stderr. Under torchrun only rank 0 prints.

Names and headers of other people's files may hold any character. They are printed on one line and cannot control the terminal.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from genrev_cli.errors import FileError, GenrevError, UnreadError
from genrev_cli.invocation import first_process
from genrev_cli.progress import SILENT, Progress, Task
from genrev_cli.result import Result

PLAIN_SECONDS = 10.0


def visible(text: str) -> str:
    r"""Return `text` with unprintable characters escaped as in Python: line ends \n, escape sequences \x1b, undecodable bytes \udcff."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _visible_json(value: object) -> str:
    """Return one line of JSON. Characters that are unprintable, or not in stdout's encoding, are escaped and mean the same."""
    text = json.dumps(value, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"))
    return "".join(letter if letter.isprintable() else json.dumps(letter).strip('"') for letter in text)


class _Stderr:
    """stderr, whose failures are ignored: a run goes on when nobody reads its messages."""

    def __getattr__(self, name: str) -> object:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


_STDERR = _Stderr()


def _tell(text: str = "") -> None:
    """Print a line for the user."""
    print(visible(text), file=_STDERR, flush=True)


def put_out(text: str, *, exact: bool = False) -> None:
    """Print a line of the result; with `exact`, unprintable characters too. Raises like `_unprinted`."""
    try:
        try:
            print(text if exact else visible(text), flush=True)
        except UnicodeEncodeError:  # stdout is Latin-1, say
            print(text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding), flush=True)
    except OSError as error:
        raise _unprinted(error) from error


def _unprinted(error: OSError) -> GenrevError:
    """Return the error for a stdout that cannot be written: its reader has gone, or the disk is full."""
    return UnreadError() if isinstance(error, BrokenPipeError) else FileError(f"the result cannot be printed: {error.strerror}")


def _put_out_path(path: Path) -> None:
    """Print a path as the result: unchanged for a program, escaped on a terminal."""
    put_out(str(path), exact=not stdout_shows())


def stdout_shows() -> bool:
    """Return True where stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def now_doing(what: str) -> None:
    """Print what is being done. On a terminal that also shows stdout, the line is removed by `done`."""
    if stdout_shows() and sys.stderr.isatty():
        print(f"\r{visible(what)} …\x1b[K", end="", file=_STDERR, flush=True)
    else:
        _tell(f"genrev: {what}")


def done() -> None:
    """Remove the line of `now_doing` from the terminal."""
    if stdout_shows() and sys.stderr.isatty():
        print("\r\x1b[K", end="", file=_STDERR, flush=True)


def open_streams() -> None:
    """Replace closed streams, and let stdout print paths that cannot be decoded.

    Otherwise the next opened file would get a closed stream's number, and libraries would print into it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (it is there until the end); None would mean stdout
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def close_streams(code: int) -> int:
    """Flush the streams and return the exit code: `code`, or another one if the rest of the result cannot be printed.

    Nothing is left for the interpreter to print at its end, which would fail again with a traceback.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout and code == 0:
                failure = _unprinted(error)
                error_line(str(failure))
                code = failure.exit_code
    return code


def error_line(message: str) -> None:
    """Print an error as one line."""
    if message:  # it is empty if help was shown
        _tell(f"genrev: error: {message}")


def traceback_lines(text: str) -> None:
    """Print the traceback of an error."""
    for line in text.splitlines():
        _tell(line)


def report(result: Result, as_json: bool) -> None:
    """Print a result: its path on stdout and its numbers or tables on stderr, or everything as one JSON object on stdout."""
    if not first_process():
        return
    if as_json:
        made = {"out": str(result.out)} if result.out else {}
        put_out(_visible_json(made | result.numbers))
        return
    if "tables" in result.numbers:
        _print_tables(result)
        return
    width = max((len(name) for name in result.numbers), default=0)
    for name, value in result.numbers.items():
        _tell(f"{name:<{width}}  {_shown(value)}")
    if result.out:
        _put_out_path(result.out)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_tables(result: Result) -> None:
    """Print tables and the conditions under which they were measured."""
    for table in result.numbers["tables"]:
        _print_table(table)
    for name, value in result.numbers.get("conditions", {}).items():
        _tell(f"{name}: {_shown(value)}")
    if result.out:
        _put_out_path(result.out)


def _print_table(table: dict[str, Any]) -> None:
    for line in _table_lines(table):
        _tell(line)


def _table_lines(table: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table: title, columns, rows, notes, and an empty one."""
    rows = sorted(table["rows"], key=len, reverse=True)  # the longest row has all columns in order
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([_cell(row.get(name)) for name in columns] for row in table["rows"])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    yield table["title"]
    for line in lines:
        padded = [word.rjust(width) for word, width in zip(line[1:], widths[1:], strict=True)]
        yield "  " + "  ".join([line[0].ljust(widths[0]), *padded])
    for note in table["notes"]:
        yield f"  {note}"
    yield ""


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def listener() -> Progress:
    """Return a progress that draws bars on a terminal, and prints a plain line now and then elsewhere."""
    if not first_process():
        return SILENT
    return _Bars() if sys.stderr.isatty() else _Lines()


class _Noting(Progress):
    def note(self, message: str) -> None:
        _tell(f"genrev: {message}")


class _PlainTask(Task):
    def __init__(self, title: str, total: int, unit: str, done: int) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self.began, self.before, self.last = time.monotonic(), done, time.monotonic()

    def advance(self, units: int = 1, **numbers: float) -> None:
        """Print a line when the last one is old enough, and at the end."""
        self.done += units
        now = time.monotonic()
        if now - self.last >= PLAIN_SECONDS or self.done >= self.total:
            self.last = now
            left = (now - self.began) / max(self.done - self.before, 1) * (self.total - self.done)
            _tell(f"{self.title}: {self.done}/{self.total} {self.unit}, {left:.0f} s left{_numbers(numbers)}")


class _Lines(_Noting):
    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        yield _PlainTask(title, total, unit, done)


class _Bars(_Noting):
    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        """Show a bar, which stays on the terminal when it is done."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit, markup=False),
            TimeRemainingColumn(), TextColumn("{task.fields[numbers]}", markup=False),
        )  # fmt: skip
        with RichProgress(*columns, console=Console(file=cast(IO[str], _STDERR))) as bars:
            number = bars.add_task(visible(title), total=total, completed=done, numbers="")

            class Bar(Task):
                def advance(self, units: int = 1, **numbers: float) -> None:
                    if numbers:
                        bars.update(number, advance=units, numbers=_numbers(numbers))
                    else:
                        bars.update(number, advance=units)

            yield Bar()


def _numbers(numbers: dict[str, float]) -> str:
    return "".join(f"  {name} {value:.4g}" for name, value in numbers.items())


_NAMED = 20  # pictures whose names are shown


def show(result: Result) -> None:
    """Print a header and its chain as an indented list on stdout."""
    put_out(str(result.out))
    _show_record(result.numbers, 1)
    if names := result.numbers.get("names"):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        put_out(f"  names: {', '.join(names[:_NAMED])}{more}")
    for title, columns in (("class_counts", "train, val, test"), ("attribute_counts", "have it, lack it, unknown")):
        if counts := result.numbers.get(title):
            put_out(f"  images per {title.partition('_')[0]} ({columns}):")
            width = max(map(len, counts))
            for name, values in counts.items():
                put_out(f"    {name:<{width}}  {', '.join(f'{value:,}' for value in values)}")
    if "table" in result.numbers:
        for line in _table_lines(result.numbers["table"]):
            put_out(line)
    for path in result.numbers.get("verified", []):
        put_out(f"verified  {path}")


def _show_record(record: dict[str, Any], depth: int) -> None:
    pad, made = "  " * depth, record.get("made_by", {})
    put_out(f"{pad}{record['kind']}" + (f", {record['step']} steps" if record.get("step") else "") + f"  sha256 {record['sha256'][:16]}")
    for key, value in record.get("config", {}).items():
        if key not in ("identity", "directions"):  # the first repeats the settings, for comparing; the second has a table
            put_out(f"{pad}  {key}: {_shown(value)}")
    if made:
        where = ", ".join(str(made[key]) for key in ("utc", "device", "git") if made.get(key))
        seed = f", seed {made['seed']}" if "seed" in made else ""
        put_out(f"{pad}  $ {made['command']}")
        put_out(f"{pad}    {where}, {made['seconds']:g} s{seed}")
    for role, source in record.get("inputs", {}).items():
        put_out(f"{pad}  {role}: {source['path']}")
        _show_record(source, depth + 2)
