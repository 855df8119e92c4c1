"""How much room a training stage takes on the disk: its state, its checkpoints, its previews and its log."""

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

_LINE = 640  # bytes of the log


def planned(job: Job) -> Method:
    """The method of a job on the meta device: its shapes without its numbers."""
    with torch.device("meta"):
        method = job.build(torch.device("meta"))
        execute(method, job.schedule, RunOptions())
    return method


@dataclass(frozen=True)
class Room:
    """Bytes. state: modules, moments and averaged weights. checkpoint: one of them. beside: previews and log, at most.

    scored: whether the best checkpoint is kept too.
    """

    state: int
    checkpoint: int
    beside: int
    scored: bool

    def needed(self, out: Path) -> int:
        """What is to come on top of what an earlier run left at `out`; a file that is replaced stands there until the new one is whole."""
        replaced = out.exists()
        most = max(2 * self.state + replaced * self.checkpoint, self.state + (1 + replaced) * self.checkpoint)
        folder = run_folder(out)
        there = present(out, best_file(out), folder / "state.safetensors", folder / "log.jsonl", folder / "previews")
        return max(0, most + self.scored * self.checkpoint + self.beside - there)


def room_of(job: Job, method: Method, options: RunOptions) -> Room:
    """Of a run to the end; the method may be on any device."""
    headers = 2 * len(json.dumps([job.identity, job.inputs, job.origin], default=str))
    modules = [_tensors(module) for module in method.modules.values()]
    averaged = [_tensors(method.model)] if job.schedule.ema_halflife_images else []
    parts = [*modules, *averaged, *(_moments(optimizer) for optimizer in method.optimizers.values())]
    state = tensors_bytes(sum(size for size, _ in parts), sum(count for _, count in parts), headers)
    return Room(state, tensors_bytes(*_tensors(method.model), headers), _beside(job, options), bool(options.evaluation.every))


def _tensors(module: nn.Module) -> tuple[int, int]:
    """Bytes and number of a module's tensors."""
    found = module.state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in found), len(found)


def _moments(optimizer: Optimizer) -> tuple[int, int]:
    """Bytes and number of what an optimizer remembers once it has made a step; Adam also its number, for each parameter."""
    adam = isinstance(optimizer.rule, torch.optim.Adam)
    each = 2 if adam else int(optimizer.rule.param_groups[0]["momentum"] > 0)
    size = sum(parameter.numel() * parameter.element_size() for parameter in optimizer.parameters)
    return each * size + 4 * adam * len(optimizer.parameters), (each + adam) * len(optimizer.parameters)


def _beside(job: Job, options: RunOptions) -> int:
    looks = [options.log_every, options.monitor_every, options.preview_every, options.evaluation.every or math.inf]
    lines = [min(log.LIMIT, sum(job.steps / every for every in looks)), min(log.LIMIT, job.steps / options.monitor_every)]
    evaluations = job.steps / looks[-1]
    pictures = min(previews.LIMIT, math.ceil(job.steps / options.preview_every))
    return math.ceil(sum(lines) + evaluations + 4) * _LINE + pictures * job.monitor.preview_bytes(job.images.image_shape)
