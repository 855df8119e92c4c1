"""The curves, settings, commands and machines of the page, in the form that the template needs."""

from dataclasses import dataclass
from typing import Any

from genrev_cli.report import words
from genrev_cli.report.chain import Command, Record, commands, lineage
from genrev_cli.report.curves import Panel, Run, css, groups
from genrev_cli.report.material import Material


@dataclass(frozen=True)
class Curves:
    """legend: (line classes, text) of each run. groups: (heading, panels)."""

    legend: list[tuple[str, str]]
    groups: list[tuple[str, list[Panel]]]


def curves(material: Material) -> Curves:
    """Return one panel for each quantity of the logs; a run that continues another starts where that one ended."""
    logged = [record for record in material.records if material.logs.get(record.key)]
    runs = [Run(_run_name(record), i, start_of(record), material.logs[record.key]) for i, record in enumerate(logged)]
    return Curves([(css(run.style), run.label) for run in runs], groups(runs))


def _run_name(record: Record) -> str:
    return f"{record.header.config.get('stage', 'training')} ({record.path.name})"


def start_of(checkpoint: Record) -> int:
    """Return the number of steps of all stages before the last one."""
    return sum(earlier.header.step for earlier in lineage(checkpoint)[:-1])


def settings(material: Material) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the settings of every file that has some: (kind or stage, file name, rows of name and value)."""
    found = []
    for record in material.records:
        config = {name: value for name, value in record.header.config.items() if name not in ("identity", "stage", "numbers", "shows")}
        schedule = config.get("schedule", {})
        if schedule.get("steps"):  # steps override the recipe's epochs
            config["schedule"] = {name: value for name, value in schedule.items() if name != "epochs"}
        if record.header.kind in ("data", "checkpoint", "classifier", "samples", "codes") and config:
            found.append((record.header.config.get("stage", record.header.kind), record.path.name, flat(config)))
    return found


def flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Return a nested table as rows of dotted name and value; a list of tables has one row for each."""
    if isinstance(value, dict) and value:
        return [row for key, part in value.items() for row in flat(part, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return [(f"{name}.{i}", words.shown(part)) for i, part in enumerate(value)]
    return [(name, words.shown(value))]


@dataclass(frozen=True)
class Step:
    """A command in the chain. machine: number of its entry in the list of machines and versions."""

    command: str
    made: list[str]
    facts: list[str]
    machine: int


def chain(material: Material) -> tuple[list[Step], list[list[tuple[str, str]]]]:
    """Return the commands in their order, and the machines and versions with which they ran, each once."""
    machines: list[list[tuple[str, str]]] = []
    steps = []
    for command in commands(material.records):
        machine = _machine(command.made_by)
        if machine not in machines:
            machines.append(machine)
        made = [f"{record.path.name} (sha256 {record.header.sha256[:12]})" for record in command.files]
        steps.append(Step(_typed(command), made, _step_facts(command.made_by), machines.index(machine) + 1))
    return steps, machines


def _typed(command: Command) -> str:
    return command.made_by["command"] if command.made_by["command"] != "python" else "a Python program (genrev used as a library)"


def _step_facts(made_by: dict[str, Any]) -> list[str]:
    facts = [words.duration(made_by["seconds"])] if "seconds" in made_by else []
    facts += [f"{name} {made_by[name]}" for name in ("device", "seed") if name in made_by]
    facts += [f"{made_by['processes']} processes"] if made_by.get("processes", 1) > 1 else []
    return facts + ([made_by["utc"].replace("T", " ").replace("+00:00", " UTC")] if "utc" in made_by else [])


def _machine(made_by: dict[str, Any]) -> list[tuple[str, str]]:
    commit = made_by.get("git", "").replace("+", " with changes")
    rows = {"machine": made_by.get("machine"), "commit": commit, **made_by.get("versions", {})}
    return [(name, value) for name, value in rows.items() if value]
