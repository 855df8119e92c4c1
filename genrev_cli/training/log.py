"""Write and read log.jsonl: one JSON object per line, each with its step."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import system_error, write_text
from genrev_cli.files.parts import make_folder

LIMIT = 20_000
"""Largest number of lines that a log keeps of each kind in THINNED."""
THINNED = ("loss", "monitor")

_BEGINS = b'{"step": '


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log, [] if the file does not exist. A last line that a kill or a power cut cut short is left out.

    Raises FileError when the file is not a log.
    """
    if not path.exists():
        return []
    *lines, last = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate([*lines, last] if last else lines, start=1):
        try:
            record = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            if number > len(lines) and last[: len(_BEGINS)] in (_BEGINS[: len(last)], bytes(len(_BEGINS))[: len(last)]):
                break  # a disk that lost power may have zeros where the line was to be
            raise FileError(f"{path}: not a log of genrev, or damaged: line {number} is not JSON; remove it to go on without it") from error
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            raise FileError(f"{path}: not a log of genrev: a line has no step; remove it to go on without it")
        records.append(record)
    return records


def _spacing(step: int) -> int:
    """Return 2ᵏ with the least k ≥ 0 for which step < LIMIT · 2ᵏ."""
    return 1 << max(0, step // LIMIT).bit_length()


def thinned(records: Iterable[dict[str, Any]], step: int) -> Iterator[dict[str, Any]]:
    """Yield the first line of each kind in THINNED from each interval [i·s, (i + 1)·s) of steps, and all lines of other kinds.

        s = 2ᵏ,   k ≥ 0 the least with step < LIMIT · s

    To thin twice gives the same as to thin once at the end, so a log is the same whether its run was killed or not.
    """
    spacing, taken = _spacing(step), dict[str | None, int]()
    for record in records:
        kind, interval = record.get("kind"), record["step"] // spacing
        if kind not in THINNED or taken.get(kind) != interval:
            taken[kind] = interval
            yield record


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


class Log:
    """Appends to a log and keeps it `thinned`. Lines of steps that a resumed run makes again are removed first."""

    def __init__(self, path: Path, step: int) -> None:
        """Keep the lines up to and including `step`. Raises FileError where they cannot be written."""
        self._path = path
        make_folder(path.parent)
        self._open(step)

    def _open(self, step: int) -> None:
        """Thin the file for a run that has reached `step`, and open it to append."""
        kept = list(thinned((record for record in read_log(self._path) if record["step"] <= step), step))
        write_text(self._path, "".join(json.dumps(record) + "\n" for record in kept))
        self._spacing, self._last = _spacing(step), {record.get("kind"): record["step"] for record in kept}
        # unbuffered, so that an error is raised by the write and not by close
        self._file = open(self._path, "ab", buffering=0, opener=_no_link)  # noqa: SIM115 (close() closes it)

    def write(self, step: int, **values: Any) -> None:
        """Write one line, unless its interval has one. Raises FileError when that fails; `read_log` leaves out an unfinished line."""
        kind = values.get("kind")
        if kind in THINNED:
            if _spacing(step) > self._spacing:  # rare: only when the run has become twice as long
                self.close()
                self._open(step)
            if kind in self._last and self._last[kind] // self._spacing == step // self._spacing:
                return
            self._last[kind] = step
        line = json.dumps({"step": step, **values}).encode() + b"\n"
        try:
            while line:  # a disk that is nearly full may take only a part of the line
                line = line[self._file.write(line) :]
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {system_error(error) or error}") from error

    def sync(self) -> None:
        """Flush the lines to the disk. Raises FileError when that fails."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {system_error(error) or error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
