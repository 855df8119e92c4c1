"""What a report is made from, and which checkpoint and data it is about."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from genrev_cli.report.chain import Record, checkpoint_of, collect


@dataclass(frozen=True)
class Picture:
    """pixels: (C, H, W) uint8."""

    record: Record
    pixels: np.ndarray

    @property
    def shows(self) -> str:
        return self.record.header.config.get("shows", self.record.path.name)


@dataclass(frozen=True)
class Score:
    """A result of `genrev fid`."""

    record: Record
    result: dict[str, Any]

    @property
    def checkpoint(self) -> Record | None:
        """The model whose samples were scored; None where they came from elsewhere."""
        samples = self.record.inputs.get("samples") or self.record.inputs.get("ckpt")
        return checkpoint_of(samples) if samples else None


@dataclass(frozen=True)
class Cloud:
    """Real and generated codes on a plane: (n, 2), (m, 2). about: how they got there. named: neighbours mostly share their class."""

    title: str
    about: str
    real: np.ndarray
    generated: np.ndarray
    named: bool = False


@dataclass(frozen=True)
class CodeClouds:
    """One code file and as many codes drawn from somewhere, in several planes. classes: of the real ones, '' unknown.

    source: where they were drawn from, 'the prior' of its checkpoint or a sampler's file.
    """

    record: Record
    clouds: list[Cloud]
    classes: list[str]
    seed: int
    dim: int
    source: str = "the prior"


@dataclass(frozen=True)
class Material:
    """given: the files asked for. logs: lines of log.jsonl, parameters: how many the model has; both by the key of the checkpoint."""

    given: list[Record]
    pictures: list[Picture] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    logs: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    parameters: dict[tuple[str, str, str], int] = field(default_factory=dict)
    codes: list[CodeClouds] = field(default_factory=list)

    @cached_property
    def records(self) -> list[Record]:
        """Every file in the chain, in order."""
        return collect(self.given)

    @cached_property
    def checkpoints(self) -> list[Record]:
        """Those that were trained, in order."""
        return [record for record in self.records if record.header.kind == "checkpoint"]

    @property
    def main(self) -> Record | None:
        """The checkpoint that the report is about: the last one of the chain."""
        return self.checkpoints[-1] if self.checkpoints else None

    @property
    def data(self) -> Record | None:
        """The images that it was trained on, else the last set in the chain."""
        own = self.main and self.main.inputs.get("data")
        sets = [record for record in self.records if record.header.kind == "data"]
        return own or (sets[-1] if sets else None)

    def is_main(self, checkpoint: Record | None) -> bool:
        """Whether something belongs to the checkpoint that the report is about; what has none does where there is no other."""
        return (checkpoint and checkpoint.key) == (self.main and self.main.key)
