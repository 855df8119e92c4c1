"""Split results into scores and conditions of measurement, and make tables of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genrev_cli.report import words
from genrev_cli.report.material import Score

ERROR = "_standard_error"
CONDITIONS = (
    "n", "n_reference", "bias_floor", "bf16_effect", "split", "extractor", "profile", "layer", "weights_sha256", "temperature",
    "authpct_held_out", "class_score_std",
)  # fmt: skip
"""Entries of a result that are not metrics; entries that are not floats are not metrics either."""
_TITLES = {
    "sampler": "Codes from",
    "kid_subset_size": "Images per subset for KID",
    "mind_projections": "Directions for MIND",
    "class_score_std": "Standard deviation of the score of classes over its parts",
    "class_score_splits": "Parts for the score of classes",
    **{name: words.RESULTS[name] for name in ("authpct_held_out", "n_train", "n_held_out", "held_out_split")},
    "k_precision": "Neighbours for precision, recall",
    "k_density": "Neighbours for density, coverage",
}


@dataclass(frozen=True)
class Cell:
    """A cell of a table. beside: small text after the value, such as its spread."""

    text: str
    beside: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table. numeric: True aligns its cells to the right. beside: small text after the title."""

    title: str
    numeric: bool = False
    beside: str = ""


@dataclass(frozen=True)
class Table:
    """columns: the first is that of the rows' names, so there is one more than cells. rows: (name, CSS classes or '', cells)."""

    columns: list[Column]
    rows: list[tuple[str, str, list[Cell]]]


@dataclass(frozen=True)
class Reading:
    """A result of `genrev fid`. metrics: label → value, the main one first; errors: their standard errors; conditions: all else."""

    metrics: dict[str, float]
    errors: dict[str, float]
    conditions: dict[str, Any]


def read(result: dict[str, Any]) -> Reading:
    """Split the entries of a result."""
    rest = {name: value for name, value in result.items() if name not in ("metric", "value")}
    main = {result["metric"]: float(result["value"])} if "metric" in result and result.get("value") is not None else {}
    fractions = {name: value for name, value in rest.items() if isinstance(value, float) and name not in CONDITIONS}
    metrics = {name: value for name, value in fractions.items() if not name.endswith(ERROR)}
    errors = {name.removesuffix(ERROR): value for name, value in fractions.items() if name.endswith(ERROR)}
    return Reading(main | metrics, errors, {name: value for name, value in rest.items() if name not in fractions})


def metric_column(label: str) -> Column:
    """Return a metric's heading, with an arrow towards better values."""
    arrow = {"lower": " ↓", "higher": " ↑"}.get(words.better(label), "")
    name, _, remark = words.metric(label).partition(" (")
    return Column(name + arrow, numeric=True, beside=f"({remark}" if remark else "")


def explained(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return (heading, explanation) of the metrics that have one."""
    return [(words.metric(label), words.about(label)) for label in labels if words.about(label)]


def conditions(result: dict[str, Any], reference: str) -> dict[str, str]:
    """Return the conditions of a measurement: name → text. reference: name of the file with the real images."""
    known = {name: value for name, value in result.items() if (name, value) != ("temperature", 1.0)}
    compared = "n_reference" in known  # else only reconstructions of real images were scored, and no samples
    n, n_ref, split = known.pop("n", None), known.pop("n_reference", None), known.pop("split", "")
    n, n_ref = (n, n_ref) if compared else (None, n)
    real = " ".join(filter(None, (f"{n_ref:,}" if n_ref else "", split, "images")))
    found = {"Samples": f"{n:,}" if n else "", "Against": f"{real} of {reference}" if reference else ""}
    precision = known.pop("feature_precision", "fp32" if known.get("extractor") else "")  # older results do not store it
    features = [*(str(known.pop(name, "") or "") for name in ("extractor", "profile", "layer")), precision]
    found["Features"] = ", ".join(dict.fromkeys(filter(None, features)))  # extractor and profile may have the same name
    found["Weights"] = str(known.pop("weights_sha256", "") or "")[:12]
    floor = known.pop("bias_floor", None)
    found["Bias floor"] = "" if floor is None else words.number(float(floor))
    found |= {
        _TITLES.get(name, words.title(name)): words.fact(value) for name, value in known.items() if not isinstance(value, (dict, list))
    }
    return {name: text.strip() for name, text in found.items() if text.strip()}


@dataclass(frozen=True)
class Scores:
    """shared: the conditions that are equal for all scores; the table has columns for the others."""

    shared: list[tuple[str, str]]
    table: Table
    explained: list[tuple[str, str]]


def score_table(scores: Sequence[Score]) -> Scores | None:
    """Return a table with a row for each score, by time, and a column for each metric and each differing condition; None without scores."""
    scores = sorted(scores, key=lambda score: score.record.header.made_by.get("utc", ""))
    readings = [read(score.result) for score in scores]
    under = [
        conditions(
            reading.conditions | ({"sampler": score.drawn_from} if score.drawn_from else {}),
            score.record.inputs["ref"].path.name if "ref" in score.record.inputs else "",
        )
        for score, reading in zip(scores, readings, strict=True)
    ]
    names = list(dict.fromkeys(name for found in under for name in found))
    shared = [name for name in names if len({found.get(name) for found in under}) == 1]
    labels = list(dict.fromkeys(label for reading in readings for label in reading.metrics))
    columns = [Column("Samples of"), *map(metric_column, labels), *(Column(name) for name in names if name not in shared)]
    rows = []
    for score, reading, found in zip(scores, readings, under, strict=True):
        cells = [_value(reading, label) for label in labels]
        rows.append((_scored(score), "", cells + [Cell(found.get(name, "")) for name in names if name not in shared]))
    return Scores([(name, under[0][name]) for name in shared], Table(columns, rows), explained(labels)) if scores else None


def _value(reading: Reading, label: str) -> Cell:
    if label not in reading.metrics:
        return Cell("–")
    return Cell(words.number(reading.metrics[label], 4), f"± {words.number(reading.errors[label], 2)}" if label in reading.errors else "")


def _scored(score: Score) -> str:
    """Return the file name of the model whose samples were scored, else of the samples, else of the score."""
    samples = score.record.inputs.get("samples")
    return (score.checkpoint or samples or score.record).path.name
