"""Which checkpoints are runs of one and the same training with other seeds, and what to call them."""

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

_NO_SETTINGS = ("identity", "stage", "recipe", "recipe_tables", "score")  # a recipe's tables are there resolved; a score is a result


@dataclass(frozen=True)
class Rival:
    """A checkpoint to compare. label: '' where the user gave none."""

    label: str
    record: Record


@dataclass(frozen=True)
class Group:
    """Checkpoints that differ in nothing but their seeds."""

    label: str
    records: list[Record]


def grouped(rivals: Sequence[Rival]) -> list[Group]:
    """Runs of one training with different seeds are a group, unless their labels differ; in the order of their first members.

    Raises UsageError when one label stands for models that differ in more.
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
            raise UsageError(f"{label}=…: stands for models that differ in more than their seeds; give each a label of its own")
    return _named(labelled)


def seeds(checkpoint: Record) -> tuple[Any, ...]:
    """The seeds of all stages behind a checkpoint, oldest first."""
    return tuple(stage.header.config.get("schedule", {}).get("seed") for stage in lineage(checkpoint))


def _signature(checkpoint: Record) -> str:
    """Equal for checkpoints that differ in nothing but their seeds."""
    stages = []
    for stage in lineage(checkpoint):
        config = {name: value for name, value in stage.header.config.items() if name not in _NO_SETTINGS}
        config["schedule"] = {name: value for name, value in config.get("schedule", {}).items() if name != "seed"}
        inputs = {role: source.header.sha256 for role, source in stage.inputs.items() if source.header.kind != "checkpoint"}
        stages.append([stage.header.config.get("stage"), config, inputs])
    return json.dumps([stages, _which(checkpoint), _sampler(checkpoint)], sort_keys=True)


def _sampler(checkpoint: Record) -> dict[str, Any]:
    """What the codes of its samples are drawn from, but for seeds."""
    if checkpoint.sampler is None:
        return {"name": "prior"}
    config = checkpoint.sampler.header.config
    asked = {name: value for name, value in config["sampler"].items() if name not in ("sizes", "theta")}  # these are found, not asked for
    return {**asked, **{name: value for name, value in config.get("fit", {}).items() if name != "seed"}}


def _which(checkpoint: Record) -> str:
    """The last checkpoint of a run, or the best, by which score."""
    score = checkpoint.header.config.get("score")
    if score is None:
        return "last"
    metric = next((name for name in score if name not in ("n", "split", "features")), "score")
    return f"best by {metric} of " + ", ".join(f"{name} {score[name]}" for name in ("n", "split", "features") if name in score)


def settings(checkpoint: Record) -> dict[tuple[str, str], str]:
    """All settings behind a checkpoint: (the stage that they are of, or '', and their dotted name) → text."""
    found: dict[tuple[str, str], str] = {}
    stages = _stages(checkpoint)
    for name, stage in stages.items():
        config = {key: value for key, value in stage.header.config.items() if key not in _NO_SETTINGS}
        shared = {key: config.pop(key) for key in ("model", "prior") if key in config}  # handed on from stage to stage
        found |= {(name, key.removeprefix("method.")): text for key, text in flat(config)}
        found |= {("", key): text for key, text in (flat(shared) if shared else [])}
    found |= {("", f"sampler: {key}"): text for key, text in flat(_sampler(checkpoint))}
    return found | {("", "stages"): ", then ".join(stages), ("", "checkpoint of the run"): _which(checkpoint)}


def _stages(checkpoint: Record) -> dict[str, Record]:
    """The stages behind a checkpoint by name; one that ran again has a number."""
    found: dict[str, Record] = {}
    for stage in lineage(checkpoint):
        name = stage.header.config.get("stage", "training")
        again = sum(other.split(" ")[0] == name for other in found)
        found[f"{name} {again + 1}" if again else name] = stage
    return found


def differing(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """The settings in which groups differ: (name, text for each group); the seeds of a group's members stand beside each other.

    A setting of a stage that some did not go through is one only where the others differ.
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
    """Labels that were not given: what the files' names have in common; those alike are told apart by their folders, or else numbered."""
    names = [label or _stem(records) + _drawn(records[0]) for label, records in labelled]
    folders = [records[0].path.resolve().parent.name for _, records in labelled]
    own = [bool(label) for label, _ in labelled]
    names = _told_apart(names, [f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)], own)
    names = _told_apart(names, [f"{name} ({i})" for i, name in enumerate(names, 1)], own)
    return [Group(name, records) for name, (_, records) in zip(names, labelled, strict=True)]


def _told_apart(names: list[str], others: list[str], own: list[bool]) -> list[str]:
    """Each name, or its other one where it is not the only one of its kind; those of the user's own stay."""
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
    """The seeds of the last stages: '0, 1, 2'; where they are the same, those of all stages."""
    found = [seeds(record) for record in records]
    alike = len({of[-1] for of in found}) < len(found)
    return ", ".join("/".join(map(words.shown, of if alike else of[-1:])) for of in found)
