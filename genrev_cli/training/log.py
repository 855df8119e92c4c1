"""log.jsonl: one JSON object per line, each with its step; whole lines only, whatever happens."""

import json
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import write_text


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


class Log:
    """Appends to a log, after dropping what a resumed run will do again."""

    def __init__(self, path: Path, step: int) -> None:
        """Keep the lines up to and including `step`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [record for record in read_log(path) if record["step"] <= step]
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, **values: Any) -> None:
        """One line."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
