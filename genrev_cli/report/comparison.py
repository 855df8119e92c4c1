"""A table of several models measured under the same conditions, and the same table as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from genrev_cli.report import words
from genrev_cli.report.chain import Record, lineage
from genrev_cli.report.curves import css
from genrev_cli.report.rivals import Group, seed_words, seeds
from genrev_cli.report.scores import Cell, Column, Reading, Table, conditions, metric_column, read


@dataclass(frozen=True)
class Member:
    """A checkpoint with its scores and training. numbers: entries of a score file; log: lines of log.jsonl."""

    record: Record
    numbers: dict[str, Any]
    log: list[dict[str, Any]]
    parameters: int

    @cached_property
    def reading(self) -> Reading:
        """Its metrics, separate from the conditions."""
        return read(self.numbers)

    @property
    def images_per_second(self) -> float | None:
        """The median training speed of its last stage; None without a log."""
        speeds = [line["images_per_second"] for line in self.log if line.get("kind") == "loss" and "images_per_second" in line]
        return statistics.median(speeds) if speeds else None

    @property
    def seconds(self) -> float:
        """The total duration of all stages."""
        return sum(stage.header.made_by.get("seconds", 0.0) for stage in lineage(self.record))

    @property
    def steps(self) -> list[int]:
        """The number of steps of each stage."""
        return [stage.header.step for stage in lineage(self.record)]


@dataclass(frozen=True)
class Row:
    """A model, trained with one or several seeds.

    samples: picture (C, H, W) uint8 of its first member. restored, full: of its reconstructions from the restricted and the full latent.
    """

    group: Group
    members: list[Member]
    samples: np.ndarray
    restored: np.ndarray
    _: KW_ONLY
    full: np.ndarray

    @property
    def label(self) -> str:
        """The name of the row."""
        return self.group.label

    @property
    def drawn_from(self) -> str:
        """The distribution from which the codes of its samples are drawn."""
        sampler = self.members[0].record.sampler
        return words.source(sampler.header.config["sampler"]["name"] if sampler else "prior")

    def mean(self, metric: str) -> float:
        """Return the mean over the members."""
        return statistics.fmean(self._values(metric))

    def spread(self, metric: str) -> float | None:
        """Return the standard deviation over the members (with k − 1); None for a single member."""
        return statistics.stdev(self._values(metric)) if len(self.members) > 1 else None

    def _values(self, metric: str) -> list[float]:
        return [member.reading.metrics[metric] for member in self.members]


@dataclass(frozen=True)
class Comparison:
    """rows: in the given order. originals: picture of the images of `split` that each row's `restored` shows. seed: of the samples."""

    rows: list[Row]
    reference: str
    seed: int
    originals: np.ndarray
    _: KW_ONLY
    split: str

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, the main one first."""
        return list(self.rows[0].members[0].reading.metrics)

    @cached_property
    def ranked(self) -> list[Row]:
        """The rows, sorted by the main metric, the best first."""
        return sorted(self.rows, key=lambda row: row.mean(self.metrics[0]), reverse=words.better(self.metrics[0]) == "higher")

    @property
    def shared(self) -> dict[str, Any]:
        """The conditions that all scores have in common, as results store them; each row has its own distribution of codes."""
        first, *others = [member.reading.conditions for row in self.rows for member in row.members]
        return {
            name: value
            for name, value in first.items()
            if name != "sampler" and all(name in other and other[name] == value for other in others)
        }

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions of all scores: name → text."""
        found = conditions({name: value for name, value in self.shared.items() if name != "seed"}, self.reference)
        return found | ({"Samples": f"{found['Samples']} of each model, seed {self.seed}"} if "Samples" in found else {})


def table(comparison: Comparison) -> Table:
    """Return a table with a row for each model, the best first; with two models or more, the best value of each metric is marked."""
    rows, repeated = comparison.ranked, any(len(row.members) > 1 for row in comparison.rows)
    columns = [Column("Model"), Column("Codes from"), *map(metric_column, comparison.metrics)]
    columns += [Column(name, numeric=True) for name in ("Parameters", "Images/s", "Training time", "Steps")]
    best = {metric: _best(metric, rows) for metric in comparison.metrics}
    cells = [
        [Cell(row.drawn_from)]
        + [_metric_cell(row, metric, best[metric]) for metric in comparison.metrics]
        + _facts(row)
        + ([_seeds(row)] if repeated else [])
        for row in rows
    ]
    named = [(row.label, css(i), found) for i, (row, found) in enumerate(zip(rows, cells, strict=True))]
    return Table(columns + ([Column("Seeds")] if repeated else []), named)


def _best(metric: str, rows: Sequence[Row]) -> float | None:
    """Return the best mean; None for a single row, or if it is unknown which values are better."""
    if len(rows) < 2 or not words.better(metric):
        return None
    return (min if words.better(metric) == "lower" else max)(row.mean(metric) for row in rows)


def _metric_cell(row: Row, metric: str, best: float | None) -> Cell:
    error = row.spread(metric) if len(row.members) > 1 else row.members[0].reading.errors.get(metric)
    return Cell(words.number(row.mean(metric), 4), "" if error is None else f"± {words.number(error, 2)}", row.mean(metric) == best)


def _facts(row: Row) -> list[Cell]:
    first, speed = row.members[0], _speed(row)
    return [
        Cell(f"{first.parameters:,}"),
        Cell("–" if speed is None else words.number(speed)),
        Cell(words.duration(_seconds(row))),
        Cell(" + ".join(_range({member.steps[i] for member in row.members}) for i in range(len(first.steps)))),
    ]


def _range(steps: set[int]) -> str:
    """Return one number, or the range from the smallest to the largest."""
    return "–".join(f"{end:,}" for end in sorted({min(steps), max(steps)}))


def _speed(row: Row) -> float | None:
    speeds = [member.images_per_second for member in row.members if member.images_per_second is not None]
    return statistics.fmean(speeds) if speeds else None


def _seconds(row: Row) -> float:
    return statistics.fmean(member.seconds for member in row.members)


def _seeds(row: Row) -> Cell:
    return Cell(seed_words(row.group.records), f"k = {len(row.members)}")


def notes(comparison: Comparison) -> str:
    """Return the sentences that explain the marks of the table."""
    found = ["Sorted by the first metric."]
    if len(comparison.rows) > 1:
        found.append("Bold: the best value of a column.")
    if any(len(row.members) > 1 for row in comparison.rows):
        found.append("Several seeds: mean ± standard deviation (over k seeds, with k − 1).")
    if any(len(row.members) == 1 and row.members[0].reading.errors for row in comparison.rows):
        found.append("One seed: value ± standard error of the measurement.")
    return " ".join([*found, "Training time includes all stages; speed is that of the last stage, on the machine that ran it."])


def as_json(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the table as JSON, the best first.

    A row has model, codes_from, k, each metric (and its _std over k seeds), parameters, speed, time and steps.
    """
    return [_row_json(row, comparison.metrics) for row in comparison.ranked]


def _row_json(row: Row, metrics: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"model": row.label, "codes_from": row.drawn_from, "k": len(row.members)}
    for metric in metrics:
        found[metric] = row.mean(metric)
        if len(row.members) > 1:
            found[f"{metric}_std"] = row.spread(metric)
    known = {"parameters": row.members[0].parameters, "images_per_second": _speed(row), "training_seconds": _seconds(row)}
    return found | known | {"steps": max(sum(member.steps) for member in row.members)}


def members_json(comparison: Comparison) -> list[dict[str, Any]]:
    """Return each checkpoint with its own values."""
    return [
        {"model": row.label, "path": str(member.record.path), "seeds": list(seeds(member.record)), **member.reading.metrics}
        for row in comparison.ranked
        for member in row.members
    ]
