"""A job: what to train, on which images, and for how long."""

import json
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
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

    settings: the tables that determine the result; they are compared when a run is resumed.
    origin: the recipe's name and its tables, for later stages.
    defaults: table → key → default of each key, assumed for runs that predate it.
    inputs: role → record of the input (Header.as_input). build: makes the method on a device, with the weights of step 0.
    shared: what processes split in a step besides the batch: name → (number, unit); each share must be a multiple of the unit.
    restore: called after `Method.start`, which fits a prior to the data; a warm start gives the weights of its checkpoint again.
    monitor: measures during training. write: writes the trained model to a file of `kind`, like `write_autoencoder`.
    """

    stage: str
    settings: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    images: ImageSet
    schedule: Schedule
    build: Callable[[torch.device], Method]
    _: KW_ONLY
    batches_per_step: int = 1
    origin: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    shared: dict[str, tuple[int, int]] = field(default_factory=dict)
    monitor: type[Monitor] = AutoencoderMonitor
    write: Callable[..., None] = write_autoencoder
    kind: str = "checkpoint"
    restore: Callable[[Method], None] | None = None

    @property
    def rows_per_step(self) -> int:
        return self.schedule.batch * self.batches_per_step

    @property
    def steps(self) -> int:
        """Number of steps of the schedule for this data set."""
        return steps_of(self.schedule, len(self.images.rows("train")), self.batches_per_step)

    def rate(self, step: int) -> float:
        """Return the factor of the learning rates in a step; the first step is 1."""
        return self.schedule.rate((step - 1) * self.rows_per_step / len(self.images.rows("train")))

    def require_shares(self, processes: int) -> None:
        """Raise UsageError unless a mini-batch, and everything in `shared`, can be split equally over the processes.

        A step may take several mini-batches, and each of them is split.
        """
        for name, (count, unit) in {"a batch": (self.schedule.batch, 1), **self.shared}.items():
            if count % (unit * processes):
                raise UsageError(f"{name} of {count} cannot be split over {processes} processes; choose a multiple of {unit * processes}")

    @property
    def identity(self) -> dict[str, Any]:
        """Settings that must be equal for a run to be resumed (all but its length and --memory), and the digests of all inputs."""
        schedule = {key: value for key, value in vars(self.schedule).items() if key not in ("epochs", "steps", "memory")}
        inputs = {role: record["sha256"] for role, record in self.inputs.items()}
        return _from_header({"stage": self.stage, **self.settings, "schedule": schedule, "inputs": inputs})

    @property
    def older_identity(self) -> dict[str, Any]:
        """Defaults of the keys of `identity`, for runs whose headers predate a key."""
        return _from_header({**self.defaults, "schedule": defaults_of(Schedule)})


def steps_of(schedule: Schedule, rows: int, batches_per_step: int) -> int:
    """Return the number of steps of a schedule for a number of training images."""
    return schedule.steps or math.ceil(schedule.epochs * rows / (schedule.batch * batches_per_step))


def _from_header(tables: dict[str, Any]) -> dict[str, Any]:
    """Return the tables as they are when read from a header: JSON has no tuples."""
    return json.loads(json.dumps(tables, default=vars))
