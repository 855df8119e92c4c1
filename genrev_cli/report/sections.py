"""The body of the page but for its pictures: curves, scores, settings, commands and machines, as what the template needs of each."""

from dataclasses import dataclass
from typing import Any

from genrev_cli.report import words
from genrev_cli.report.chain import Command, Record, commands, lineage
from genrev_cli.report.curves import Panel, Series, panel
from genrev_cli.report.material import Material, Score

COLOURS = 6
"""How many line colours the style sheet has."""
COUNTS = {"n": "n", "n_reference": "n of reference", "bias_floor": "Bias floor"}
"""Columns of numbers in the table of scores."""


@dataclass(frozen=True)
class Curves:
    """legend: (style, text) of each run. groups: (heading, panels)."""

    legend: list[tuple[int, str]]
    groups: list[tuple[str, list[Panel]]]


def curves(material: Material) -> Curves:
    """One panel for each quantity of the logs; a run that went on from another starts where that one ended."""
    runs = [record for record in material.checkpoints if material.logs.get(record.key)]
    style = {record.key: i % COLOURS for i, record in enumerate(runs)}
    legend = [(style[run.key], f"{run.header.config.get('stage', 'training')} ({run.path.name})") for run in runs]
    groups = []
    for kind, heading in (("monitor", "On held-out images"), ("loss", "In training")):
        lines = {run.key: [line for line in material.logs[run.key] if line.get("kind") == kind] for run in runs}
        names = dict.fromkeys(name for run in runs for line in lines[run.key] for name in line if name not in ("step", "kind", "seconds"))
        known = sorted(names, key=lambda name: list(words.QUANTITIES).index(name) if name in words.QUANTITIES else len(words.QUANTITIES))
        drawn = [panel(name, [Series(style[run.key], _start(run), _points(lines[run.key], name)) for run in runs]) for name in known]
        groups.append((heading, [one for one in drawn if one]))
    return Curves(legend, [(heading, panels) for heading, panels in groups if panels])


def _start(checkpoint: Record) -> int:
    return sum(earlier.header.step for earlier in lineage(checkpoint)[:-1])


def _points(lines: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(line["step"], line[name]) for line in lines if isinstance(line.get(name), (int, float))]


def score_table(scores: list[Score]) -> list[dict[str, str]]:
    """The scores and how each was measured: rows of column → text, all with the same columns; one that is empty everywhere is left out."""
    rows = [_score_row(score) for score in sorted(scores, key=lambda score: score.record.header.made_by.get("utc", ""))]
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if any(row.get(name) for row in rows)]
    return [{name: row.get(name, "") for name in columns} for row in rows]


def _score_row(score: Score) -> dict[str, str]:
    rest = dict(score.result)
    metric, value = words.metric(rest.pop("metric", "score")), rest.pop("value", None)
    names = {role: record.path.name for role, record in score.record.inputs.items()}
    row = {"Metric": metric, "Value": "" if value is None else words.number(float(value), 6)}
    row |= {title: words.fact(rest.pop(name)) for name, title in COUNTS.items() if rest.get(name) is not None}
    row["Split"] = rest.pop("split", "")
    features = [str(part) for part in (rest.pop("extractor", ""), rest.pop("profile", ""), rest.pop("layer", "")) if part]
    row["Features"] = ", ".join(dict.fromkeys(features))  # extractor and profile may share a name
    row["Weights"] = rest.pop("weights_sha256", "")[:12]
    row |= {words.title(name): words.fact(part) for name, part in rest.items() if not isinstance(part, (dict, list))}
    row["Samples"] = names.get("samples", "") + (f" of {score.checkpoint.path.name}" if score.checkpoint else "")
    return row | {"Reference": names.get("ref", "")}


def settings(material: Material) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """The tables of every file that has some: (kind or stage, file name, rows of name and value)."""
    found = []
    for record in material.records:
        config = {name: value for name, value in record.header.config.items() if name not in ("identity", "stage", "numbers", "shows")}
        if record.header.kind in ("data", "checkpoint", "samples", "codes") and config:
            found.append((record.header.config.get("stage", record.header.kind), record.path.name, _flat(config)))
    return found


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """A nested table as dotted names and values; a list of tables has one row for each."""
    if isinstance(value, dict) and value:
        return [row for key, part in value.items() for row in _flat(part, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return [(f"{name}.{i}", words.shown(part)) for i, part in enumerate(value)]
    return [(name, words.shown(value))]


@dataclass(frozen=True)
class Step:
    """A command in the chain. machine: number of the entry in the list of machines and versions."""

    command: str
    made: list[str]
    facts: list[str]
    machine: int


def chain(material: Material) -> tuple[list[Step], list[list[tuple[str, str]]]]:
    """The commands in their order, and the machines with versions that they ran on, each once."""
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
    rows = {"machine": made_by.get("machine"), "commit": made_by.get("git"), **made_by.get("versions", {})}
    return [(name, value) for name, value in rows.items() if value]
