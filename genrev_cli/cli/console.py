"""The one place that prints. stdout is exactly the result; everything else goes to stderr. Of many processes one speaks."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from genrev_cli.progress import SILENT, Progress, Task
from genrev_cli.result import Result

PLAIN_SECONDS = 10.0


def first_process() -> bool:
    """Whether this is the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


def error_line(message: str) -> None:
    """An error, as one line."""
    if message:  # none where help was shown
        print(f"genrev: error: {message}", file=sys.stderr)


def report(result: Result, as_json: bool) -> None:
    """The result: its path on stdout and its numbers on stderr, or everything as one JSON object on stdout."""
    if not first_process():
        return
    if as_json:
        made = {"out": str(result.out)} if result.out else {}
        print(json.dumps(made | result.numbers, ensure_ascii=False))
        return
    width = max((len(name) for name in result.numbers), default=0)
    for name, value in result.numbers.items():
        print(f"{name:<{width}}  {_shown(value)}", file=sys.stderr)
    if result.out:
        print(result.out)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def report_tables(result: Result) -> None:
    """A result that is tables: them and the conditions they hold under on stderr, its path on stdout."""
    for table in result.numbers["tables"]:
        _print_table(table)
    for name, value in result.numbers.get("conditions", {}).items():
        print(f"{name}: {_shown(value)}", file=sys.stderr)
    if result.out:
        print(result.out)


def _print_table(table: dict) -> None:
    rows = sorted(table["rows"], key=len, reverse=True)  # the fullest row has the columns in their order
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([_cell(row.get(name)) for name in columns] for row in table["rows"])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    print(table["title"], file=sys.stderr)
    for line in lines:
        padded = [word.rjust(width) for word, width in zip(line[1:], widths[1:], strict=True)]
        print("  " + "  ".join([line[0].ljust(widths[0]), *padded]), file=sys.stderr)
    for note in table["notes"]:
        print(f"  {note}", file=sys.stderr)
    print(file=sys.stderr)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def listener() -> Progress:
    """A bar on a terminal; elsewhere a plain line now and then."""
    if not first_process():
        return SILENT
    return _Bars() if sys.stderr.isatty() else _Lines()


class _Noting(Progress):
    def note(self, message: str) -> None:
        print(f"genrev: {message}", file=sys.stderr)


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
            print(f"{self.title}: {self.done}/{self.total} {self.unit}, {left:.0f} s left{_numbers(numbers)}", file=sys.stderr, flush=True)


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
        with RichProgress(*columns, console=Console(stderr=True)) as bars:
            number = bars.add_task(title, total=total, completed=done, numbers="")

            class Bar(Task):
                def advance(self, units: int = 1, **numbers: float) -> None:
                    bars.update(number, advance=units, **({"numbers": _numbers(numbers)} if numbers else {}))

            yield Bar()


def _numbers(numbers: dict[str, float]) -> str:
    return "".join(f"  {name} {value:.4g}" for name, value in numbers.items())


def show(result: Result) -> None:
    """A header and its chain, as an indented list on stdout."""
    print(result.out)
    _show_record(result.numbers, 1)
    for path in result.numbers.get("verified", []):
        print(f"verified  {path}")


def _show_record(record: dict, depth: int) -> None:
    pad, made = "  " * depth, record.get("made_by", {})
    print(f"{pad}{record['kind']}" + (f", {record['step']} steps" if record.get("step") else "") + f"  sha256 {record['sha256'][:16]}")
    for key, value in record.get("config", {}).items():
        if key != "identity":  # it repeats the settings, for comparing
            print(f"{pad}  {key}: {_shown(value)}")
    if made:
        where = ", ".join(str(made[key]) for key in ("utc", "device", "git") if made.get(key))
        print(f"{pad}  $ {made['command']}\n{pad}    {where}, {made['seconds']:g} s" + (f", seed {made['seed']}" if "seed" in made else ""))
    for role, source in record.get("inputs", {}).items():
        print(f"{pad}  {role}: {source['path']}")
        _show_record(source, depth + 2)
