"""Measure a few steps of a job that nobody wants to train yet: seconds and memory."""

import math
import time
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genrev_cli.runs.disk import memory_of
from genrev_cli.runs.execution import execute
from genrev_cli.runs.job import Job
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.shapes import to_float
from genrev_cli.training.loop import seeded
from genrev_cli.training.method import Method

TINY = 16
"""The first steps have a batch this many times smaller, because nobody knows yet how long one takes."""


@dataclass(frozen=True)
class Trial:
    """seconds: of a step. megabytes: weights, gradients, moments, and what the backward pass keeps, at the peak.

    scaled: the seconds are those of a smaller batch, in proportion, because a whole one would take too long. The activations are always
    measured on a smaller batch.
    """

    seconds: float
    megabytes: float
    scaled: bool


class _Kept:
    """Counts the bytes that autograd keeps for backward passes: now, and at the peak. Each storage counts once; parameters do not."""

    def __init__(self, parameters: set[int]) -> None:
        self.parameters, self.counts, self.held, self.peak = parameters, dict[int, int](), 0, 0

    def pack(self, tensor: Tensor) -> "_Held":
        held, storage = _Held(tensor), tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if key in self.parameters:
            return held
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.counts[key] == 1:
            self.held += size
            self.peak = max(self.peak, self.held)
        weakref.finalize(held, self._freed, key, size)
        return held

    def _freed(self, key: int, size: int) -> None:
        self.counts[key] -= 1
        if not self.counts[key]:
            self.held -= size


class _Held:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def try_steps(job: Job, device: torch.device, limit: float) -> Trial:
    """Make steps of a fresh method for about `limit` seconds, and return how long a step takes and how much memory it needs.

    The first have a smaller batch. The weights are thrown away. Raises what the method raises.
    """
    with seeded(job.schedule.seed, "weights"):
        method = job.build(device)
    execute(method, job.schedule, RunOptions())
    method.begin(10**9)  # past every warm-up
    updates, few = job.batches_per_step, min(job.schedule.batch, max(2, math.ceil(job.schedule.batch / TINY)))
    kept = _Kept({parameter.untyped_storage().data_ptr() for module in method.modules.values() for parameter in module.parameters()})
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda held: held.tensor):
        _step(method, job, few * updates, device)
    seconds = _step(method, job, few * updates, device) * job.schedule.batch / few
    megabytes = (memory_of(method) + kept.peak * job.schedule.batch / few) / 1e6
    scaled = seconds > limit
    if not scaled:
        began, times = time.perf_counter(), list[float]()
        while not times or (len(times) < 3 and time.perf_counter() - began < limit / 2):
            times.append(_step(method, job, job.rows_per_step, device))
        seconds = min(times)
    return Trial(seconds, megabytes, scaled)


def _step(method: Method, job: Job, rows: int, device: torch.device) -> float:
    """Make one step on the first training images, repeated if they are too few, and return its seconds."""
    x, labels = _images(job, rows, device)
    generator = torch.Generator(device).manual_seed(0)
    began = time.perf_counter()
    scalars: dict[str, Any] = method.step(x, labels, generator)
    for value in scalars.values():
        value.item()  # waits for the device
    return time.perf_counter() - began


def _images(job: Job, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    training = job.images.rows("train")
    chosen = training[torch.arange(rows).remainder(len(training)).numpy()]
    pixels = torch.from_numpy(job.images.read(chosen)).to(device)
    return to_float(pixels), torch.from_numpy(job.images.labels[chosen]).to(device)
