"""What one training run trains, and how it is saved: the method, its averaged weights and the time that they took."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from genrev_cli.files.header import provenance
from genrev_cli.runs.execution import execute, uncompiled
from genrev_cli.runs.job import Job
from genrev_cli.runs.resume import run_folder
from genrev_cli.runs.saved import read_state, seconds_of, write_state
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.store.checkpoints import load_prefixed, prefixed
from genrev_cli.training import distributed
from genrev_cli.training.batches import Batches
from genrev_cli.training.ema import EMA
from genrev_cli.training.loop import seeded
from genrev_cli.training.method import Method


def training_tensors(method: Method, ema: EMA | None) -> dict[str, Tensor]:
    """Return the state of a training: modules, optimizers and averaged weights."""
    tensors: dict[str, Tensor] = {}
    for name, module in method.modules.items():
        tensors |= prefixed(f"module.{name}", module)
    for name, optimizer in method.optimizers.items():
        tensors |= {f"optimizer.{name}.{key}": tensor for key, tensor in optimizer.tensors().items()}
    return tensors | (prefixed("ema", ema.module) if ema else {})


def load_training(method: Method, ema: EMA | None, tensors: dict[str, Tensor], path: Path) -> None:
    """Load what `training_tensors` returned. Raises FileError when it does not fit."""
    for name, module in method.modules.items():
        load_prefixed(module, f"module.{name}", tensors, path)
    for name, optimizer in method.optimizers.items():
        prefix = f"optimizer.{name}."
        optimizer.load_tensors({key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)})
    if ema:
        load_prefixed(ema.module, "ema", tensors, path)


@final
class RunState:
    """The method of a job with its weights of step 0, its averaged weights, and the clock of the run.

    Raises UsageError and FileError like `execute`.
    """

    def __init__(self, job: Job, out: Path, options: RunOptions, device: torch.device) -> None:
        self.job, self.out, self.device, self.folder = job, out, device, run_folder(out)
        with seeded(job.schedule.seed, "weights"):
            self.method = job.build(device)
        execute(self.method, job.schedule, options)
        halflife = job.schedule.ema_halflife_images
        self.ema = EMA(self.method.model, halflife) if halflife else None
        self._seconds_before, self._clock = 0.0, time.monotonic()

    @property
    def trained(self) -> nn.Module:
        """The model with the weights that the checkpoint gets: the averaged ones where there are any."""
        return self.ema.module if self.ema else self.method.model

    def seconds(self) -> float:
        """Return the seconds that this run has taken, including those before it was resumed."""
        return self._seconds_before + time.monotonic() - self._clock

    @uncompiled
    def start(self, batches: Batches) -> None:
        """Let the method see the data once, before step 0."""
        self.method.start(lambda: batches.passes(self.job.schedule.batch))
        if self.job.restore:
            self.job.restore(self.method)
        if self.ema:
            self.ema = EMA(self.method.model, self.ema.halflife_images)

    def made_by(self) -> dict[str, Any]:
        """Return the provenance of the files that this run writes."""
        return provenance(seconds=self.seconds(), seed=self.job.schedule.seed, device=str(self.device)) | {"processes": distributed.size()}

    def write_checkpoint(self, path: Path, step: int, **facts: Any) -> None:
        """Write the current weights; `facts` are added to the header's config."""
        settings = {
            **self.job.origin,
            **self.job.settings,
            "stage": self.job.stage,
            "schedule": vars(self.job.schedule),
            "identity": self.job.identity,
            **facts,
        }
        self.job.write(path, self.trained, settings=settings, step=step, inputs=self.job.inputs, made_by=self.made_by())

    def save(self, step: int) -> None:
        """Write the state from which the run can be resumed."""
        tensors = training_tensors(self.method, self.ema)
        write_state(
            self.folder / "state.safetensors",
            tensors,
            identity=self.job.identity,
            step=step,
            inputs=self.job.inputs,
            made_by=self.made_by(),
            device=self.device,
        )

    def load(self, path: Path, note: Callable[[str], None]) -> int:
        """Read what `save` wrote, and return its step. Raises FileError when the file is no state or does not fit the method."""
        header, tensors = read_state(path, self.job.inputs, self.made_by(), device=self.device, note=note)
        load_training(self.method, self.ema, tensors, path)
        self._seconds_before = seconds_of(header)
        return header.step
