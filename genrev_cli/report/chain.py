"""Headers hold the headers of their inputs: unfolded here into every file behind the given ones, and the commands that made them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.files.header import Header


@dataclass(frozen=True)
class Record:
    """A file as its own header, or the header of something made from it, describes it. The file itself may be gone.

    sampler: of a checkpoint, the file of the distribution that its codes are drawn from, where that is not its prior.
    """

    path: Path
    header: Header
    sampler: "Record | None" = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for the same file, wherever it was met."""
        return self.header.kind, self.header.sha256, self.header.made_by.get("utc", "")

    @property
    def inputs(self) -> dict[str, "Record"]:
        """Role → what the file was made from."""
        return {role: _recorded(fields) for role, fields in self.header.inputs.items()}


def _recorded(fields: dict[str, Any]) -> Record:
    known = {name: fields[name] for name in ("step", "inputs", "made_by") if name in fields}
    return Record(Path(fields["path"]), Header(fields["kind"], fields.get("config", {}), fields.get("sha256", ""), **known))


@dataclass(frozen=True)
class Command:
    """One command that ran, with all the files that it made."""

    made_by: dict[str, Any]
    files: list[Record]


def collect(given: Iterable[Record]) -> list[Record]:
    """The given files and all that they were made from, each once: inputs before what was made of them, otherwise by time."""
    found: dict[tuple[str, str, str], Record] = {}
    when: dict[tuple[str, str, str], str] = {}

    def visit(record: Record) -> str:
        if record.key not in when:
            before = [visit(source) for source in record.inputs.values()]
            found[record.key] = record
            when[record.key] = max([record.header.made_by.get("utc", ""), *before])  # machines' clocks differ: never before its inputs
        return when[record.key]

    given = list(given)
    for record in given:
        visit(record)
    found |= {record.key: record for record in given}  # under the name it has now
    return sorted(found.values(), key=lambda record: when[record.key])


def commands(records: Iterable[Record]) -> list[Command]:
    """The commands behind `records`, in their order; one that made several files stands once."""
    runs: dict[tuple[Any, ...], Command] = {}
    for record in records:
        made_by = record.header.made_by
        if "command" in made_by:
            run = tuple(made_by.get(name) for name in ("command", "utc", "seconds"))
            runs.setdefault(run, Command(made_by, [])).files.append(record)
    return list(runs.values())


def checkpoint_of(record: Record) -> Record | None:
    """The checkpoint itself, or the nearest one that a file was made from."""
    if record.header.kind == "checkpoint":
        return record
    sources = record.inputs.values()
    direct = next((source for source in sources if source.header.kind == "checkpoint"), None)
    return direct or next(filter(None, map(checkpoint_of, sources)), None)


def lineage(checkpoint: Record) -> list[Record]:
    """The checkpoints that this one was trained from, in turn, oldest first; it is the last."""
    earlier = next((source for source in checkpoint.inputs.values() if source.header.kind == "checkpoint"), None)
    return [*(lineage(earlier) if earlier else []), checkpoint]
