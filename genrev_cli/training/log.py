"""log.jsonl: one JSON object per line, each with its step; whole lines only, whatever happens."""

import json
from pathlib import Path
from typing import Any

from genrev_cli.files.atomic import write_text


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last line cut short by a kill is left out. [] where there is no log."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
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
