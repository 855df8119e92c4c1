"""probe: codes with labels → how well simple classifiers learn the classes from few labels.

Schirrmeister et al. 2018, version 1, discussion, name semi-supervised classification with reversible networks as worth a try.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.codes import CodeFile, open_code_file, space_of
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.pictures import json_digest, write_json
from genrev_cli.files.targets import check_target
from genrev_cli.metrics.probing import chance, draw_labelled, knn_accuracy, linear_accuracy
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.seeds import derive
from genrev_cli.settings.probe import ProbeSettings
from genrev_cli.store.properties import held_out, labelled, properties_of

KIND = "probe"
NOTE = "accuracy on held-out codes: mean and standard deviation over draws of the labels. linear: logistic regression."


@dataclass(frozen=True, kw_only=True)
class _Sides:
    """Codes to learn from and codes to measure on, (n, d) and (m, d), with labels (n,), (m,). classes: their names."""

    codes: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    classes: list[str]


def probe(codes: Path, out: Path, settings: ProbeSettings, *, progress: Progress = SILENT) -> Result:
    """Measure how well k-NN and a linear classifier learn classes, or an attribute, from some labelled codes; write the result as JSON.

    Raises UsageError for codes without labels and for settings that do not apply, FileError for unusable files and for test codes of
    another model.
    """
    start = time.perf_counter()
    check_target(out, KIND, (".json",), [codes, *([settings.test] if settings.test else [])])
    given = open_code_file(codes)
    test = _test_codes(given, settings.test) if settings.test else None
    sides = _sides(given, test, settings, progress)
    rows = _rows(sides, settings, codes, progress)
    found = {
        "of": settings.of or "classes",
        "classes": sides.classes,
        "chance": chance(sides.test_labels),
        "n": len(sides.codes),
        "n_test": len(sides.test),
        "latent": "full" if given.full else "restricted",
        **space_of(given),
        "dim": given.shape[1],
        "neighbours": settings.neighbours,
        "l2": settings.l2,
        "rows": rows,
    }
    inputs = {"codes": given.header.as_input(codes)} | ({"test": test.header.as_input(test.path)} if test else {})
    made_by = provenance(seconds=time.perf_counter() - start, seed=settings.seed, device="cpu")
    config = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    write_json(out, found, Header(KIND, config, json_digest(found), given.header.step, inputs=inputs, made_by=made_by))
    conditions = {name: found[name] for name in ("chance", "n", "n_test", "latent", "dim", "neighbours", "l2")}
    table = {"title": f"{found['of']}: {len(sides.classes)} classes, chance {found['chance']:.3g}", "rows": rows, "notes": [NOTE]}
    return Result(out, {**found, "tables": [table], "conditions": conditions})


def _test_codes(codes: CodeFile, path: Path) -> CodeFile:
    """Open the codes to measure on. Raises FileError unless they are others of the same model."""
    test = open_code_file(path)
    if test.header.sha256 == codes.header.sha256:
        raise UsageError(f"--test {path}: has the codes that are learnt from; give those of another split")
    for what, own, other in (
        ("model", *(one.header.inputs.get("ckpt", {}).get("sha256") for one in (codes, test))),
        ("latent", *((one.full, one.shape[1]) for one in (codes, test))),
        ("space", *((one.gaussian, one.header.inputs.get("flow", {}).get("sha256")) for one in (codes, test))),
    ):
        if own != other:
            raise FileError(f"{path}: has codes of another {what} than {codes.path}; encode both splits with the same checkpoint")
    return test


def _sides(codes: CodeFile, test: CodeFile | None, settings: ProbeSettings, progress: Progress) -> _Sides:
    """Read at most `most` labelled codes to learn from, and as many to measure on. Raises UsageError where there are too few classes."""
    labels, classes = _labels(codes, settings.of)
    rng = np.random.default_rng(derive(settings.seed, "probe"))
    if test is None:
        held = held_out(len(codes), settings.held_out, settings.seed)
        other, other_labels = codes, np.where(held, labels, -1)
        labels = np.where(held, -1, labels)
    else:
        other, (other_labels, names) = test, _labels(test, settings.of)
        if names != classes:
            raise FileError(f"{test.path}: has the classes {', '.join(names)}, but {codes.path} has {', '.join(classes)}")
    for known, what in ((labels, "learn from"), (other_labels, "measure on")):
        if (count := int((known >= 0).sum())) > settings.most:
            progress.note(f"{codes.path}: {settings.most} of {count} labelled codes to {what} are drawn; --most N takes more")
    own_rows, test_rows = (_chosen(found, settings.most, rng) for found in (labels, other_labels))
    if not len(test_rows) or len(np.unique(labels[own_rows])) < 2:
        raise UsageError(
            f"{codes.path}: has {len(own_rows)} labelled codes to learn from and {len(test_rows)} to measure on, and at least two classes "
            "are needed; encode more images of prepared data that has labels"
        )
    return _Sides(
        codes=codes.read(own_rows), labels=labels[own_rows], test=other.read(test_rows), test_labels=other_labels[test_rows],
        classes=classes,
    )  # fmt: skip


def _chosen(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    rows = np.flatnonzero(labels >= 0)
    return np.sort(rng.permutation(rows)[:most])


def _labels(codes: CodeFile, attribute: str) -> tuple[np.ndarray, list[str]]:
    """Return the labels of codes, (N,), −1 for unknown, and the names of the classes. Raises UsageError for an unknown attribute."""
    if attribute:
        return properties_of(codes, [attribute])[0].sides.astype(np.int64), ["without", "with"]
    names = labelled(codes)
    numbers = {label: number for number, label in enumerate(names)}
    return np.array([numbers.get(int(label), -1) for label in codes.labels], np.int64), list(names.values())


def _rows(sides: _Sides, settings: ProbeSettings, path: Path, progress: Progress) -> list[dict[str, Any]]:
    """Return a row for each number of labels: labels, runs, and mean and spread of both accuracies."""
    n, mean, std = len(sides.codes), sides.codes.mean(0), sides.codes.std(0)
    sizes = sorted({size or n for size in settings.labels})
    if left := [size for size in sizes if size > n]:
        progress.note(f"{path}: has {n} labelled codes to learn from; left out {', '.join(map(str, left))} labels")
    runs = [(size, run) for size in sizes if size <= n for run in range(1 if size == n else settings.repeats)]
    if not runs:
        raise UsageError(f"--labels {','.join(map(str, settings.labels))}: {path} has only {n} labelled codes to learn from; 0 takes all")
    found: dict[int, list[tuple[float, float]]] = {}
    with progress.task("probe", len(runs), "classifiers") as bar:
        for size, run in runs:
            rng = np.random.default_rng(derive(settings.seed, "labels", size, run))
            rows = draw_labelled(sides.labels, size, rng)
            codes, labels = sides.codes[rows], sides.labels[rows]
            near = knn_accuracy(codes, labels, sides.test, sides.test_labels, k=settings.neighbours)
            linear = linear_accuracy(codes, labels, sides.test, sides.test_labels, l2=settings.l2, mean=mean, std=std)
            found.setdefault(size, []).append((near, linear))
            bar.advance(1, knn=near, linear=linear)
    return [_row(size, np.array(accuracies)) for size, accuracies in found.items()]


def _row(size: int, accuracies: np.ndarray) -> dict[str, Any]:
    """Return the row of some runs. accuracies: (runs, 2), of k-NN and of the linear classifier. The spread has runs − 1; None for one."""
    row: dict[str, Any] = {"labels": size, "runs": len(accuracies)}
    for name, values in zip(("knn", "linear"), accuracies.T, strict=True):
        row |= {name: float(values.mean()), f"{name}_std": float(values.std(ddof=1)) if len(values) > 1 else None}
    return row
