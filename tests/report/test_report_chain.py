"""Files and commands listed from nested headers."""

from pathlib import Path

from genrev_cli.files.header import Header
from genrev_cli.report.chain import Record, collect, commands, lineage


def record(name: str, minute: int, inputs: dict | None = None, kind: str = "checkpoint") -> Record:
    return Record(
        Path(name),
        Header(kind, {}, name, minute, inputs=inputs or {}, made_by={"command": f"make {name}", "utc": f"2026-01-01T00:{minute}:00+00:00"}),
    )


def test_inputs_come_before_the_files_made_from_them_even_if_clocks_differ():
    a = record("a", 30)
    b = record("b", 20, {"ckpt": a.header.as_input(a.path)})
    c = record("c", 25)
    assert [found.path.name for found in collect([b, c])] == ["c", "a", "b"]
    assert [found.path.name for found in lineage(b)] == ["a", "b"]


def test_a_command_that_made_two_files_is_listed_once():
    shared = {"command": "genrev sample", "utc": "2026-01-01T00:05:00+00:00", "seconds": 1.5}
    pair = [Record(Path(name), Header("samples", {}, name, made_by=shared)) for name in ("samples", "grid.png")]
    assert [[made.path.name for made in command.files] for command in commands(collect(pair))] == [["samples", "grid.png"]]
