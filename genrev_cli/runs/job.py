"""A training stage, planned: what to train on what, for how long, and how the run behaves."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from genrev_cli.config import defaults_of
from genrev_cli.errors import UsageError
from genrev_cli.files.images import ImageSet
from genrev_cli.runs.monitor import AutoencoderMonitor, Monitor
from genrev_cli.settings.schedule import Schedule
from genrev_cli.store.checkpoints import write_autoencoder
from genrev_cli.training.method import Method


@dataclass(frozen=True)
class Job:
    """A training stage, ready to run.

    settings: the resolved tables, without which the result would be another; compared when a run is resumed.
    origin: where they come from: the recipe's name and its tables, for the stages that follow.
    defaults: table → key → what it is where nobody says: what a run did that is older than the key.
    inputs: role → record of the input (Header.as_input). build: makes the method on a device, with the weights of step 0.
    shared: of what besides the batch each process takes its share in a step: name → (number, a multiple of what each share has to be).
    monitor: what is looked at on the way. write: writes what was trained, a file of `kind`, as `write_autoencoder` does.
    """

    stage: str
    settings: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    images: ImageSet
    schedule: Schedule
    build: Callable[[torch.device], Method]
    batches_per_step: int = 1
    origin: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    shared: dict[str, tuple[int, int]] = field(default_factory=dict)
    monitor: type[Monitor] = AutoencoderMonitor
    write: Callable[..., None] = write_autoencoder
    kind: str = "checkpoint"

    @property
    def rows_per_step(self) -> int:
        return self.schedule.batch * self.batches_per_step

    @property
    def steps(self) -> int:
        """How many steps the schedule means for this data set."""
        rows = len(self.images.rows("train"))
        return self.schedule.steps or math.ceil(self.schedule.epochs * rows / self.rows_per_step)

    def rate(self, step: int) -> float:
        """What the learning rates are multiplied by in a step, the first being 1."""
        epoch = (step - 1) * self.rows_per_step / len(self.images.rows("train"))
        return 0.1 ** sum(epoch >= drop for drop in self.schedule.lr_drop_epochs)

    def require_shares(self, processes: int) -> None:
        """Raise UsageError unless processes can share alike what a step takes.

        It is asked of the mini-batch, for a step may take several of them and each has to be dealt out.
        """
        for name, (count, unit) in {"a batch": (self.schedule.batch, 1), **self.shared}.items():
            if count % (unit * processes):
                raise UsageError(f"{name} of {count} cannot be split over {processes} processes; choose a multiple of {unit * processes}")

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to be resumed: all settings but the length and the memory, and the content of all inputs."""
        schedule = {key: value for key, value in vars(self.schedule).items() if key not in ("epochs", "steps", "memory")}
        inputs = {role: record["sha256"] for role, record in self.inputs.items()}
        return _from_header({"stage": self.stage, **self.settings, "schedule": schedule, "inputs": inputs})

    @property
    def unsaid(self) -> dict[str, Any]:
        """What the identity of a run that is older than a key would say of it."""
        return _from_header({**self.defaults, "schedule": defaults_of(Schedule)})


def _from_header(tables: dict[str, Any]) -> dict[str, Any]:
    """As a header gives them back."""
    return json.loads(json.dumps(tables, default=vars))
