"""The one place that prints. stdout is exactly the result; everything else goes to stderr. Of many processes one speaks.

Names and other people's headers may hold anything: what is printed of them keeps to its line and does nothing to a terminal.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genrev_cli.errors import FileError, GenrevError, UnreadError
from genrev_cli.invocation import first_process
from genrev_cli.progress import SILENT, Progress, Task
from genrev_cli.result import Result

PLAIN_SECONDS = 10.0


def visible(text: str) -> str:
    r"""`text` with what is not printed as Python writes it: ends of lines \n, escape sequences \x1b, bytes that are no text \udcff."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _visible_json(value: object) -> str:
    """One line of JSON; whatever is not printed, or not in stdout's encoding, is escaped in it and means the same."""
    text = json.dumps(value, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"))
    return "".join(letter if letter.isprintable() else json.dumps(letter).strip('"') for letter in text)


class _Stderr:
    """stderr, which may fail: then nobody reads it, which is no reason to end a run."""

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
    """A line for the user."""
    print(visible(text), file=_STDERR, flush=True)


def put_out(text: str, *, exact: bool = False) -> None:
    """A line of the result, `exact` with whatever is in it. Raises like `_unprinted`."""
    try:
        try:
            print(text if exact else visible(text), flush=True)
        except UnicodeEncodeError:  # stdout is Latin-1, say
            print(text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding), flush=True)
    except OSError as error:
        raise _unprinted(error) from error


def _unprinted(error: OSError) -> GenrevError:
    """What it means that stdout cannot be written: nobody reads it any more, or a file that it goes to has no room."""
    return UnreadError() if isinstance(error, BrokenPipeError) else FileError(f"the result cannot be printed: {error.strerror}")


def _put_out_path(path: Path) -> None:
    """A path as the result: for a program as it is, on a terminal as it can be shown."""
    put_out(str(path), exact=not stdout_shows())


def stdout_shows() -> bool:
    """Return True where stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def now_doing(what: str) -> None:
    """Say what is being done: on a terminal that shows stdout too in a line that goes with `done`, elsewhere as a line for the user."""
    if stdout_shows() and sys.stderr.isatty():
        print(f"\r{visible(what)} …\x1b[K", end="", file=_STDERR, flush=True)
    else:
        _tell(f"genrev: {what}")


def done() -> None:
    """Take away the line of `now_doing`, where it has not ended."""
    if stdout_shows() and sys.stderr.isatty():
        print("\r\x1b[K", end="", file=_STDERR, flush=True)


def open_streams() -> None:
    """Take care of streams that are closed, and let paths through that are no text.

    A file that is opened next would get a closed stream's number, and libraries print to it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (it is there until the end); None would mean stdout
    if sys.stdout:
        sys.stdout.reconfigure(errors="surrogateescape")


def close_streams(code: int) -> int:
    """The exit code of a process whose command has `code`: another one where the rest of the result cannot be printed.

    Nothing is left that the interpreter would try to print once more, with a traceback.
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
    """An error, as one line."""
    if message:  # none where help was shown
        _tell(f"genrev: error: {message}")


def traceback_lines(text: str) -> None:
    """The traceback of an error."""
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
    """Tables and the conditions they hold under."""
    for table in result.numbers["tables"]:
        _print_table(table)
    for name, value in result.numbers.get("conditions", {}).items():
        _tell(f"{name}: {_shown(value)}")
    if result.out:
        _put_out_path(result.out)


def _print_table(table: dict) -> None:
    rows = sorted(table["rows"], key=len, reverse=True)  # the fullest row has the columns in their order
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([_cell(row.get(name)) for name in columns] for row in table["rows"])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    _tell(table["title"])
    for line in lines:
        padded = [word.rjust(width) for word, width in zip(line[1:], widths[1:], strict=True)]
        _tell("  " + "  ".join([line[0].ljust(widths[0]), *padded]))
    for note in table["notes"]:
        _tell(f"  {note}")
    _tell()


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def listener() -> Progress:
    """A bar on a terminal; elsewhere a plain line now and then."""
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
        """Print a line when the last one is old, and at the end."""
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
        """A bar that stays on the terminal when it is done."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit, markup=False),
            TimeRemainingColumn(), TextColumn("{task.fields[numbers]}", markup=False),
        )  # fmt: skip
        with RichProgress(*columns, console=Console(file=_STDERR)) as bars:
            number = bars.add_task(visible(title), total=total, completed=done, numbers="")

            class Bar(Task):
                def advance(self, units: int = 1, **numbers: float) -> None:
                    bars.update(number, advance=units, **({"numbers": _numbers(numbers)} if numbers else {}))

            yield Bar()


def _numbers(numbers: dict[str, float]) -> str:
    return "".join(f"  {name} {value:.4g}" for name, value in numbers.items())


def show(result: Result) -> None:
    """A header and its chain, as an indented list on stdout."""
    put_out(str(result.out))
    _show_record(result.numbers, 1)
    for path in result.numbers.get("verified", []):
        put_out(f"verified  {path}")


def _show_record(record: dict, depth: int) -> None:
    pad, made = "  " * depth, record.get("made_by", {})
    put_out(f"{pad}{record['kind']}" + (f", {record['step']} steps" if record.get("step") else "") + f"  sha256 {record['sha256'][:16]}")
    for key, value in record.get("config", {}).items():
        if key != "identity":  # it repeats the settings, for comparing
            put_out(f"{pad}  {key}: {_shown(value)}")
    if made:
        where = ", ".join(str(made[key]) for key in ("utc", "device", "git") if made.get(key))
        seed = f", seed {made['seed']}" if "seed" in made else ""
        put_out(f"{pad}  $ {made['command']}")
        put_out(f"{pad}    {where}, {made['seconds']:g} s{seed}")
    for role, source in record.get("inputs", {}).items():
        put_out(f"{pad}  {role}: {source['path']}")
        _show_record(source, depth + 2)
