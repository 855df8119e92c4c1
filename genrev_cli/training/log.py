"""log.jsonl: one JSON object per line, each with its step; whole lines only, whatever happens."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import system_error, write_text

LIMIT = 20_000
"""Lines of each of THINNED that a log has at most."""
THINNED = ("loss", "monitor")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last line cut short by a kill is left out. [] where there is no log.

    Raises FileError for a file that is none.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise FileError(f"{path}: not a log of genrev's, or damaged ({error}); remove it to go on without") from error
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            raise FileError(f"{path}: not a log of genrev's: a line has no step; remove it to go on without")
        records.append(record)
    return records


def _spacing(step: int) -> int:
    """2ᵏ, k ≥ 0 the least with step < LIMIT · 2ᵏ."""
    return 1 << max(0, step // LIMIT).bit_length()


def thinned(records: Iterable[dict[str, Any]], step: int) -> Iterator[dict[str, Any]]:
    """Of each kind of THINNED the first line of each interval [i·s, (i + 1)·s) of steps, and all others.

        s = 2ᵏ,   k ≥ 0 the least with step < LIMIT · s

    What stays of what stayed before is what stays of all: a log does not show whether its run was killed.
    """
    spacing, taken = _spacing(step), {}
    for record in records:
        kind, interval = record.get("kind"), record["step"] // spacing
        if kind not in THINNED or taken.get(kind) != interval:
            taken[kind] = interval
            yield record


class Log:
    """Appends to a log, after dropping what a resumed run will do again, and keeps it `thinned`."""

    def __init__(self, path: Path, step: int) -> None:
        """Keep the lines up to and including `step`. Raises FileError where they cannot be written."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open(step)

    def _open(self, step: int) -> None:
        """Thin the file for a run that has come to `step`, and open it for what follows."""
        kept = list(thinned((record for record in read_log(self._path) if record["step"] <= step), step))
        write_text(self._path, "".join(json.dumps(record) + "\n" for record in kept))
        self._spacing, self._last = _spacing(step), {record.get("kind"): record["step"] for record in kept}
        self._file = self._path.open("ab", buffering=0)  # nothing is held back that would fail to be written when it is closed

    def write(self, step: int, **values: Any) -> None:
        """One line, unless its interval has one. Raises FileError where it cannot be written; `read_log` drops what came of it."""
        kind = values.get("kind")
        if kind in THINNED:
            if _spacing(step) > self._spacing:  # a few times in a run, each when it is twice as long
                self.close()
                self._open(step)
            if kind in self._last and self._last[kind] // self._spacing == step // self._spacing:
                return
            self._last[kind] = step
        line = json.dumps({"step": step, **values}).encode() + b"\n"
        try:
            while line:  # a disk that is nearly full takes a part of it
                line = line[self._file.write(line) :]
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {system_error(error) or error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
