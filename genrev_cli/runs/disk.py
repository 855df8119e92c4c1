"""Estimate the disk space of a training run: its state, its checkpoints, its previews and its log."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from genrev_cli.files.space import present, tensors_bytes
from genrev_cli.runs import previews
from genrev_cli.runs.execution import execute
from genrev_cli.runs.job import Job
from genrev_cli.runs.resume import best_file, run_folder
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.training import log
from genrev_cli.training.method import Method
from genrev_cli.training.optim import Optimizer

_LINE = 640  # bytes in a line of the log, at most


def method_on_meta(job: Job) -> Method:
    """Build the method of a job on the meta device: tensors with shapes and without memory."""
    with torch.device("meta"):
        method = job.build(torch.device("meta"))
        execute(method, job.schedule, RunOptions())
    return method


@dataclass(frozen=True)
class DiskEstimate:
    """Sizes in bytes. state: modules, moments and averaged weights. checkpoint: one checkpoint. beside: previews and log, at most.

    scored: True if the best checkpoint is kept too.
    """

    state: int
    checkpoint: int
    beside: int
    scored: bool

    def needed(self, out: Path) -> int:
        """Return the bytes to add to those of an earlier run to `out`. A replaced file stays on the disk until the new one is complete."""
        replaced = out.exists()
        most = max(2 * self.state + replaced * self.checkpoint, self.state + (1 + replaced) * self.checkpoint)
        folder = run_folder(out)
        there = present(out, best_file(out), folder / "state.safetensors", folder / "log.jsonl", folder / "previews")
        return max(0, most + self.scored * self.checkpoint + self.beside - there)


def disk_estimate(job: Job, method: Method, options: RunOptions) -> DiskEstimate:
    """Estimate the disk space of a run to its end; the method may be on any device."""
    headers = 2 * len(json.dumps([job.identity, job.inputs, job.origin], default=str))
    modules = [_tensors(module) for module in method.modules.values()]
    averaged = [_tensors(method.model)] if job.schedule.ema_halflife_images else []
    parts = [*modules, *averaged, *(_moments(optimizer) for optimizer in method.optimizers.values())]
    state = tensors_bytes(sum(size for size, _ in parts), sum(count for _, count in parts), headers)
    return DiskEstimate(state, tensors_bytes(*_tensors(method.model), headers), _beside(job, options), bool(options.evaluation.every))


def memory_of(method: Method) -> int:
    """Return the bytes of a method's modules, of the gradients and of the optimizers' moments; activations come on top."""
    weights = sum(_tensors(module)[0] for module in method.modules.values())
    gradients = sum(p.numel() * p.element_size() for optimizer in method.optimizers.values() for p in optimizer.parameters)
    return weights + gradients + sum(_moments(optimizer)[0] for optimizer in method.optimizers.values())


def _tensors(module: nn.Module) -> tuple[int, int]:
    """Return the bytes and the number of a module's tensors."""
    found = module.state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in found), len(found)


def _moments(optimizer: Optimizer) -> tuple[int, int]:
    """Return the bytes and the number of an optimizer's tensors after its first step; Adam also keeps a step count for each parameter."""
    adam = isinstance(optimizer.rule, torch.optim.Adam)
    each = 2 if adam else int(optimizer.rule.param_groups[0]["momentum"] > 0)
    size = sum(parameter.numel() * parameter.element_size() for parameter in optimizer.parameters)
    return each * size + 4 * adam * len(optimizer.parameters), (each + adam) * len(optimizer.parameters)


def _beside(job: Job, options: RunOptions) -> int:
    """Return the bytes of the log and the previews, at most."""
    intervals = [options.log_every, options.monitor_every, options.preview_every, options.evaluation.every or math.inf]
    lines = [min(log.LIMIT, sum(job.steps / every for every in intervals)), min(log.LIMIT, job.steps / options.monitor_every)]
    evaluations = job.steps / intervals[-1]
    pictures = min(previews.LIMIT, math.ceil(job.steps / options.preview_every))
    return math.ceil(sum(lines) + evaluations + 4) * _LINE + pictures * job.monitor.preview_bytes(job.images.image_shape)
