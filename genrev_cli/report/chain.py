"""List all files from which the given files were made, and the commands that made them, from the headers nested in their headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.files.header import Header


@dataclass(frozen=True)
class Record:
    """A file, described by its own header or by the header of a file made from it. The file itself may be gone.

    sampler: for a checkpoint, the file of the distribution from which its codes are drawn; None means its prior.
    """

    path: Path
    header: Header
    sampler: "Record | None" = None

    @property
    def key(self) -> tuple[str, str, str]:
        """An identifier that is equal for two records of the same file."""
        return self.header.kind, self.header.sha256, self.header.made_by.get("utc", "")

    @property
    def inputs(self) -> dict[str, "Record"]:
        """Role → file from which this one was made."""
        return {role: _recorded(fields) for role, fields in self.header.inputs.items()}


KINDS_OF_FILES = ("folder", "array", "parquet", "webdataset", "idx")
"""Sources of `prepare-data` and `write_data` whose name says only in what form somebody's own images came."""


def data_name(data: Record | None) -> str:
    """Return the name of a data set for a title: that of a published set, else that of its file; '' without data."""
    name = data.header.config.get("source", {}).get("name", "") if data else ""
    return data.path.stem if data and name in KINDS_OF_FILES else name


def _recorded(fields: dict[str, Any]) -> Record:
    known = {name: fields[name] for name in ("step", "inputs", "made_by") if name in fields}
    return Record(Path(fields["path"]), Header(fields["kind"], fields.get("config", {}), fields.get("sha256", ""), **known))


@dataclass(frozen=True)
class Command:
    """One command and all files that it made."""

    made_by: dict[str, Any]
    files: list[Record]


def collect(given: Iterable[Record]) -> list[Record]:
    """Return the given files and all their inputs, each once: inputs before the files made from them, otherwise by time."""
    found: dict[tuple[str, str, str], Record] = {}
    when: dict[tuple[str, str, str], str] = {}

    def visit(record: Record) -> str:
        if record.key not in when:
            before = [visit(source) for source in record.inputs.values()]
            found[record.key] = record
            when[record.key] = max([record.header.made_by.get("utc", ""), *before])  # not before its inputs: machines' clocks differ
        return when[record.key]

    given = list(given)
    for record in given:
        visit(record)
    found |= {record.key: record for record in given}  # with its present name
    return sorted(found.values(), key=lambda record: when[record.key])


def commands(records: Iterable[Record]) -> list[Command]:
    """Return the commands that made `records`, in their order; a command that made several files is listed once."""
    runs: dict[tuple[Any, ...], Command] = {}
    for record in records:
        made_by = record.header.made_by
        if "command" in made_by:
            run = tuple(made_by.get(name) for name in ("command", "utc", "seconds"))
            runs.setdefault(run, Command(made_by, [])).files.append(record)
    return list(runs.values())


def checkpoint_of(record: Record) -> Record | None:
    """Return the record itself if it is a checkpoint, else the nearest checkpoint from which it was made, or None."""
    if record.header.kind == "checkpoint":
        return record
    sources = record.inputs.values()
    direct = next((source for source in sources if source.header.kind == "checkpoint"), None)
    return direct or next(filter(None, map(checkpoint_of, sources)), None)


def lineage(checkpoint: Record) -> list[Record]:
    """Return the chain of checkpoints from which this one was trained, oldest first, and the checkpoint itself as the last."""
    earlier = next((source for source in checkpoint.inputs.values() if source.header.kind == "checkpoint"), None)
    return [*(lineage(earlier) if earlier else []), checkpoint]
