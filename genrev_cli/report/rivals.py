"""Group checkpoints that differ only in their seeds, and name the groups."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.report import words
from genrev_cli.report.chain import Record, lineage
from genrev_cli.report.sections import flat

_NO_SETTINGS = ("identity", "stage", "recipe", "recipe_tables", "recipe_size", "score")
"""Keys that repeat values stored elsewhere, or that are results."""


@dataclass(frozen=True)
class Rival:
    """A checkpoint to compare. label: '' if the user gave none."""

    label: str
    record: Record


@dataclass(frozen=True)
class Group:
    """Checkpoints that differ only in their seeds."""

    label: str
    records: list[Record]


def grouped(rivals: Sequence[Rival]) -> list[Group]:
    """Group runs that differ only in their seeds and have the same label; groups are in the order of their first members.

    Raises UsageError if models with the same label differ in more than their seeds.
    """
    found: dict[tuple[str, str], list[list[Record]]] = {}
    for rival in rivals:
        groups = found.setdefault((rival.label, _signature(rival.record)), [])
        fitting = [group for group in groups if seeds(rival.record) not in map(seeds, group)]
        if fitting:
            fitting[0].append(rival.record)
        else:
            groups.append([rival.record])
    labelled = [(label, group) for (label, _), groups in found.items() for group in groups]
    order = {id(rival.record): i for i, rival in enumerate(rivals)}
    labelled.sort(key=lambda pair: order[id(pair[1][0])])
    for label, count in Counter(label for label, _ in labelled if label).items():
        if count > 1:
            raise UsageError(f"{label}=…: models with this label differ in more than their seeds; give each its own label")
    return _named(labelled)


def seeds(checkpoint: Record) -> tuple[Any, ...]:
    """Return the seeds of all stages of a checkpoint, oldest first."""
    return tuple(stage.header.config.get("schedule", {}).get("seed") for stage in lineage(checkpoint))


def _signature(checkpoint: Record) -> str:
    """Return a text that is equal for checkpoints that differ only in their seeds."""
    stages = []
    for stage in lineage(checkpoint):
        config = {name: value for name, value in stage.header.config.items() if name not in _NO_SETTINGS}
        config["schedule"] = {name: value for name, value in config.get("schedule", {}).items() if name != "seed"}
        inputs = {role: source.header.sha256 for role, source in stage.inputs.items() if source.header.kind != "checkpoint"}
        stages.append([stage.header.config.get("stage"), config, inputs])
    return json.dumps([stages, _which(checkpoint), _sampler(checkpoint)], sort_keys=True)


def _sampler(checkpoint: Record) -> dict[str, Any]:
    """Return the settings of the distribution from which the codes of samples are drawn, without seeds."""
    if checkpoint.sampler is None:
        return {"name": "prior"}
    config = checkpoint.sampler.header.config
    chosen = {name: value for name, value in config["sampler"].items() if name not in ("sizes", "theta", "epsilon")}  # these are results
    return {**chosen, **{name: value for name, value in config.get("fit", {}).items() if name != "seed"}}


def _which(checkpoint: Record) -> str:
    """Return 'last', or 'best by' and the score by which the checkpoint of a run was chosen."""
    score = checkpoint.header.config.get("score")
    if score is None:
        return "last"
    metric = next((name for name in score if name not in ("n", "split", "features")), "score")
    return f"best by {metric} of " + ", ".join(f"{name} {score[name]}" for name in ("n", "split", "features") if name in score)


def settings(checkpoint: Record) -> dict[tuple[str, str], str]:
    """Return all settings of a checkpoint: (stage or '', dotted name) → text."""
    found: dict[tuple[str, str], str] = {}
    stages = _stages(checkpoint)
    for name, stage in stages.items():
        config = {key: value for key, value in stage.header.config.items() if key not in _NO_SETTINGS}
        shared = {key: config.pop(key) for key in ("model", "prior") if key in config}  # the same in all stages
        found |= {(name, key.removeprefix("method.")): text for key, text in flat(config)}
        found |= {("", key): text for key, text in (flat(shared) if shared else [])}
    found |= {("", f"sampler: {key}"): text for key, text in flat(_sampler(checkpoint))}
    return found | {("", "stages"): ", then ".join(stages), ("", "checkpoint of the run"): _which(checkpoint)}


def _stages(checkpoint: Record) -> dict[str, Record]:
    """Return the stages of a checkpoint by name; a stage that ran again gets a number."""
    found: dict[str, Record] = {}
    for stage in lineage(checkpoint):
        name = stage.header.config.get("stage", "training")
        again = sum(other.split(" ")[0] == name for other in found)
        found[f"{name} {again + 1}" if again else name] = stage
    return found


def differing(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Return the settings in which groups differ: (name, text for each group); different values within a group are joined by commas.

    If some groups lack a stage, its settings are listed only if the other groups differ in them.
    """
    tables = [[settings(record) for record in group.records] for group in groups]
    through = [{stage for stage, _ in members[0]} for members in tables]
    found = []
    for stage, name in dict.fromkeys(key for members in tables for table in members for key in table):
        texts = [", ".join(dict.fromkeys(table.get((stage, name), "–") for table in members)) for members in tables]
        if len({text for text, stages in zip(texts, through, strict=True) if stage in stages}) > 1:
            found.append((f"{stage}: {name}" if stage else name, texts))
    return found


def _named(labelled: Sequence[tuple[str, list[Record]]]) -> list[Group]:
    """Name groups without a label by the common part of their file names; equal names get their folder, or else a number."""
    names = [label or _stem(records) + _drawn(records[0]) for label, records in labelled]
    folders = [records[0].path.resolve().parent.name for _, records in labelled]
    own = [bool(label) for label, _ in labelled]
    names = _told_apart(names, [f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)], own)
    names = _told_apart(names, [f"{name} ({i})" for i, name in enumerate(names, 1)], own)
    return [Group(name, records) for name, (_, records) in zip(names, labelled, strict=True)]


def _told_apart(names: list[str], others: list[str], own: list[bool]) -> list[str]:
    """Return each name, or its alternative if the name is not unique; names chosen by the user are kept."""
    count = Counter(names)
    return [other if count[name] > 1 and not fixed else name for name, other, fixed in zip(names, others, own, strict=True)]


def _drawn(record: Record) -> str:
    return f"+{record.sampler.path.stem}" if record.sampler else ""


def _stem(records: list[Record]) -> str:
    first, *others = (record.path.name.removesuffix(record.path.suffix) for record in records)
    if not others:
        return first
    same = next((i for i in range(len(first)) if any(other[: i + 1] != first[: i + 1] for other in others)), len(first))
    return re.sub(r"[-_.]*(seed|s)?[-_.]*\d*$", "", first[:same]) or f"{len(records)} seeds"


def seed_words(records: Sequence[Record]) -> str:
    """Return the seeds of the last stages, such as '0, 1, 2'; if some are equal, the seeds of all stages."""
    found = [seeds(record) for record in records]
    repeated = len({stages[-1] for stages in found}) < len(found)
    return ", ".join("/".join(map(words.shown, stages if repeated else stages[-1:])) for stages in found)
