"""The material of a report, and the checkpoint and data that it describes."""

from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from genrev_cli.report import words
from genrev_cli.report.chain import Record, checkpoint_of, collect, lineage


@dataclass(frozen=True)
class Picture:
    """A picture file. pixels: (C, H, W) uint8."""

    record: Record
    pixels: np.ndarray

    @property
    def numbers(self) -> dict[str, Any]:
        """Return the numbers that were measured for the picture."""
        return self.record.header.config.get("numbers", {})

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
        """The model whose samples were scored; None if another program made the samples."""
        samples = self.record.inputs.get("samples") or self.record.inputs.get("ckpt")
        return checkpoint_of(samples) if samples else None

    def is_of(self, sha256: str) -> bool:
        """Return True for a score of the checkpoint with this digest."""
        return self.checkpoint is not None and self.checkpoint.header.sha256 == sha256

    @property
    def drawn_from(self) -> str:
        """The distribution of the samples' codes, as a reader calls it; '' where no samples were scored, or it is not known."""
        samples = self.record.inputs.get("samples")
        name = self.result.get("sampler") or (samples.header.config.get("sampler") if samples else "")
        return words.source(str(name)) if name and "n_reference" in self.result else ""


@dataclass(frozen=True)
class Cloud:
    """Real (n, 2) and generated codes (m, 2) in the plane. about: the projection. named: True if near points mostly share a class."""

    title: str
    about: str
    real: np.ndarray
    generated: np.ndarray
    _: KW_ONLY
    named: bool = False


@dataclass(frozen=True)
class CodeClouds:
    """Codes of one file and generated codes, in several projections. classes: of the real codes; '' for unknown.

    source: the distribution of the generated codes, 'the prior' of the checkpoint or the name of a sampler's file.
    """

    record: Record
    clouds: list[Cloud]
    classes: list[str]
    seed: int
    _: KW_ONLY
    dim: int
    source: str = "the prior"


@dataclass(frozen=True)
class Material:
    """given: the files passed by the user. logs, parameters: a checkpoint's key → lines of log.jsonl, number of parameters."""

    given: list[Record]
    pictures: list[Picture] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    logs: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    _: KW_ONLY
    parameters: dict[tuple[str, str, str], int] = field(default_factory=dict)
    codes: list[CodeClouds] = field(default_factory=list)

    @cached_property
    def records(self) -> list[Record]:
        """All files in the chain, in order."""
        return collect(self.given)

    @cached_property
    def checkpoints(self) -> list[Record]:
        """All checkpoints in the chain, in order."""
        return [record for record in self.records if record.header.kind == "checkpoint"]

    @property
    def main(self) -> Record | None:
        """The checkpoint that the report is mainly about: the last one of the chain."""
        return self.checkpoints[-1] if self.checkpoints else None

    @cached_property
    def models(self) -> list[Record]:
        """The checkpoints with numbers of their own: `last` ones, and the earlier ones with a score or a measured picture."""
        measured = {score.checkpoint.key for score in self.scores if score.checkpoint}
        pictured = (checkpoint_of(picture.record) for picture in self.pictures if "images" in picture.numbers)
        measured |= {checkpoint.key for checkpoint in pictured if checkpoint}
        keys = {record.key for record in self.last}
        return self.last + [record for record in self.checkpoints if record.key in measured - keys]

    @cached_property
    def last(self) -> list[Record]:
        """The checkpoints from which no other one was trained, the main one first."""
        earlier = {stage.key for checkpoint in self.checkpoints for stage in lineage(checkpoint)[:-1]}
        found = [record for record in self.checkpoints if record.key not in earlier]
        return sorted(found, key=lambda record: record is not self.main)

    @property
    def data(self) -> Record | None:
        """The images that the main checkpoint was trained on, else the last image set in the chain."""
        own = self.main and self.main.inputs.get("data")
        sets = [record for record in self.records if record.header.kind == "data"]
        return own or (sets[-1] if sets else None)
