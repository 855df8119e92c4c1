"""Read what the pipeline has made so far: headers of checkpoints, scores and paces, for each row and seed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genrev_cli.files.any import read_any_header
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import read_json
from genrev_cli.obtained.pace import Pace, read_pace
from genrev_cli.obtained.table import Method
from genrev_cli.report.chain import Record
from genrev_cli.report.material import Score

MODEL = "model"
"""Name of the score of a model itself; the others are named after their features."""


@dataclass(frozen=True)
class Run:
    """A row trained with one seed. checkpoints: of its training commands that are complete. scores: features, or MODEL → result."""

    seed: str
    checkpoints: list[Header]
    scores: dict[str, Score]
    complete: bool

    def distance(self, kind: str) -> float | None:
        """Return the distance in features of this kind, or None."""
        return float(self.scores[kind].result["value"]) if kind in self.scores else None

    def of_model(self, name: str) -> float | None:
        """Return a number of the model itself, or None. name: as a label in its result, or that of the main metric."""
        result = self.scores[MODEL].result if MODEL in self.scores else {}
        found = result.get("value") if result.get("metric") == name else result.get(name)
        return None if found is None else float(found)

    @property
    def steps(self) -> list[int]:
        """Return the steps of each training command."""
        return [header.step for header in self.checkpoints]


@dataclass(frozen=True)
class Row:
    """A method on a data set, and its runs."""

    method: Method
    data: str
    runs: list[Run]
    paces: list[Pace]

    @property
    def name(self) -> str:
        return f"{self.method.key}-{self.data}"

    @property
    def complete(self) -> list[Run]:
        """The runs whose scores are all there."""
        return [run for run in self.runs if run.complete]

    def distances(self, kind: str) -> list[float]:
        """Return the distance in features of this kind of each complete run that has it."""
        return [value for run in self.complete if (value := run.distance(kind)) is not None]

    def of_model(self, name: str) -> list[float]:
        """Return a number of the model itself of each complete run that has it."""
        return [value for run in self.complete if (value := run.of_model(name)) is not None]

    @property
    def state(self) -> str:
        """Return '' if every seed is complete, else what is missing."""
        if not self.runs or len(self.complete) == len(self.runs):
            return "" if self.runs else "not run"
        if self.complete:
            return f"{len(self.complete)} of {len(self.runs)} seeds"
        return "unfinished" if any(run.checkpoints for run in self.runs) else "not run"


def read_row(method: Method, data: str, runs: Path, *, seeds: Sequence[str], kinds: Sequence[str]) -> Row:
    """Return a row as it is below the folder `runs`. kinds: the features that are asked for. Raises FileError for a damaged file."""
    folder = runs / f"{method.key}-{data}"
    paths = [folder / f"pace-{i}.json" for i in range(1, len(method.train) + 1)]
    expected = [*(kinds if method.samples else ()), *([MODEL] if method.encodes or method.bits else [])]
    found = [_read_run(folder / seed, seed, len(method.train), expected) for seed in seeds]
    return Row(method, data, found, [read_pace(path) for path in paths if path.exists()])


def read_real(data: str, runs: Path, kinds: Sequence[str]) -> dict[str, Score]:
    """Return the distances of real training images to the test images, features → score, as far as they are measured."""
    files = {kind: runs / "real" / data / f"fd-{kind}.json" for kind in kinds}
    return {kind: _score(path) for kind, path in files.items() if path.exists()}


def _read_run(folder: Path, seed: str, stages: int, expected: Sequence[str]) -> Run:
    checkpoints = [folder / f"{i}.safetensors" for i in range(1, stages + 1)]
    files = {kind: folder / (f"{kind}.json" if kind == MODEL else f"fd-{kind}.json") for kind in expected}
    scores = {kind: _score(path) for kind, path in files.items() if path.exists()}
    headers = [read_any_header(path) for path in checkpoints if path.exists()]
    return Run(seed, headers, scores, len(headers) == stages and len(scores) == len(files))


def _score(path: Path) -> Score:
    header, result = read_json(path)
    return Score(Record(path, header), result)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation (with n − 1) of at least one number; a single one has no spread, 0."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
