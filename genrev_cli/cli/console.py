"""The one place that prints. stdout is exactly the result; everything else goes to stderr. Under torchrun only rank 0 prints.

Names and headers of other people's files may hold any character. They are printed on one line and cannot control the terminal.
"""

import json
import os
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from genrev_cli.cli.ending import condition_lines, end_lines, table_lines
from genrev_cli.cli.stderr import STDERR, tell, visible
from genrev_cli.errors import FileError, GenrevError, UnreadError
from genrev_cli.invocation import first_process
from genrev_cli.report.words import number
from genrev_cli.result import Result


def _visible_json(value: object) -> str:
    """Return one line of JSON. Characters that are unprintable, or not in stdout's encoding, are escaped and mean the same."""
    text = json.dumps(value, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"))
    return "".join(letter if letter.isprintable() else json.dumps(letter).strip('"') for letter in text)


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
        print(f"\r{visible(what)} …\x1b[K", end="", file=STDERR, flush=True)
    else:
        tell(f"genrev: {what}")


def done() -> None:
    """Remove the line of `now_doing` from the terminal."""
    if stdout_shows() and sys.stderr.isatty():
        print("\r\x1b[K", end="", file=STDERR, flush=True)


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
        tell(f"genrev: error: {message}")


def traceback_lines(text: str) -> None:
    """Print the traceback of an error."""
    for line in text.splitlines():
        tell(line)


quiet: ContextVar[bool] = ContextVar("quiet", default=False)
"""True while a command is only a step of another one, which reports for it."""


def report(result: Result, as_json: bool, command: str = "") -> None:
    """Print a result: its path on stdout and its numbers or tables on stderr, or everything as one JSON object on stdout.

    command: the command that made it; with it, stderr also says what to do next.
    """
    if not first_process() or quiet.get():
        return
    if as_json:
        made = {"out": str(result.out)} if result.out else {}
        put_out(_visible_json(made | result.numbers))
        return
    if "tables" in result.numbers:
        _tell_all(line for table in result.numbers["tables"] for line in table_lines(table))
        _tell_all(condition_lines(result.numbers.get("conditions", {})))
    else:
        _tell_all(end_lines(result))
    if result.out and command:
        from genrev_cli.runs.following import next_command

        if line := next_command(command, result.out):
            tell(f"next: {line}")
    if result.out:
        _put_out_path(result.out)


def _tell_all(lines: Iterable[str]) -> None:
    for line in lines:
        tell(line)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


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
        for line in table_lines(result.numbers["table"]):
            put_out(line)
    for path in result.numbers.get("verified", []):
        put_out(f"verified  {path}")


def _show_score(score: dict[str, Any], pad: str) -> None:
    """Print a score that a header keeps: its numbers in one line, and the command that measured it; not the whole history of its files."""
    result = _table_of(score, "result")
    numbers = {result.get("metric", "score"): result.get("value")} | {name: value for name, value in result.items() if name != "value"}
    words = [f"{name} {number(value, 4)}" for name, value in numbers.items() if isinstance(value, int | float)]
    words += [f"{name} {result[name]}" for name in ("split", "sampler") if name in result]
    put_out(f"{pad}score: {', '.join(words)}")
    if command := _table_of(_table_of(score, "header"), "made_by").get("command"):
        put_out(f"{pad}  $ {command}")


def _table_of(table: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an inner table; {} if a header that somebody wrote has something else there."""
    found = table.get(key)
    return found if isinstance(found, dict) else {}


def _show_record(record: dict[str, Any], depth: int) -> None:
    pad, made = "  " * depth, record.get("made_by", {})
    put_out(f"{pad}{record['kind']}" + (f", {record['step']} steps" if record.get("step") else "") + f"  sha256 {record['sha256'][:16]}")
    for key, value in record.get("config", {}).items():
        if key == "scores":
            for score in value:
                _show_score(score, f"{pad}  ")
        elif key not in ("identity", "directions"):  # the first repeats the settings, for comparing; the second has a table
            put_out(f"{pad}  {key}: {_shown(value)}")
    if made:
        where = ", ".join(str(made[key]) for key in ("utc", "device", "git") if made.get(key))
        seed = f", seed {made['seed']}" if "seed" in made else ""
        put_out(f"{pad}  $ {made['command']}")
        put_out(f"{pad}    {where}, {made['seconds']:g} s{seed}")
    for role, source in record.get("inputs", {}).items():
        put_out(f"{pad}  {role}: {source['path']}")
        _show_record(source, depth + 2)
