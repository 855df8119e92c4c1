"""What the training stages share: a job → resume → loop → checkpoint."""

import functools
import math
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header, tensors_digest, write_checkpoint
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.space import announce
from genrev_cli.files.targets import check_target
from genrev_cli.invocation import since
from genrev_cli.models import Bijection
from genrev_cli.progress import Progress
from genrev_cli.result import Result
from genrev_cli.runs.disk import planned, room_of
from genrev_cli.runs.evaluation import Evaluator
from genrev_cli.runs.execution import effect_of_precision, execute, uncompiled
from genrev_cli.runs.job import Job
from genrev_cli.runs.out_of_memory import out_of_memory
from genrev_cli.runs.previews import discard, thin
from genrev_cli.runs.resume import alone, best_file, earlier_run, run_folder
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.store.checkpoints import load_prefixed, prefixed
from genrev_cli.training import distributed
from genrev_cli.training.batches import Batches
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.ema import EMA
from genrev_cli.training.guard import warnings_of
from genrev_cli.training.log import Log, read_log
from genrev_cli.training.loop import Hooks, Rhythm, Stop, seeded, train


def run_job(job: Job, out: Path, options: RunOptions, progress: Progress) -> Result:
    """Run a training stage to its end, from its last state where there is one, and write the checkpoint `out`.

    Raises UsageError when what is there was made with other settings, DivergedError and InterruptedRun like `train`.
    """
    inputs = [Path(record["path"]) for record in job.inputs.values()]
    for target in [out, best_file(out)] if options.evaluation.every else [out]:
        check_target(target, job.kind, (".safetensors",), inputs)
    state = run_folder(out) / "state.safetensors"
    device = resolve_device(options.device, "fp32" if options.dry_run else job.schedule.precision)  # a plan may be for another machine
    if options.dry_run:
        return _dry_run(job, None if options.restart else earlier_run(job.stage, job.identity, out, state, job.unsaid), out, options)
    with alone(out):
        job.require_shares(distributed.size())
        found = None if options.restart else earlier_run(job.stage, job.identity, out, state, job.unsaid)
        if found is not None and found.step >= job.steps and _is_of(out, found):
            progress.note(f"{out} is complete ({found.step} steps); nothing to do (--restart trains it anew)")
            out.touch()  # it is up to date: make should see so
            return Result(out, {"steps": found.step})
        if found is not None and not state.exists() and found.step < job.steps:
            raise UsageError(f"{out}: has {found.step} steps, and {state}, to go on from, is gone; use --restart to train it anew")
        if distributed.rank() == 0:
            announce(out, room_of(job, planned(job), options).needed(out), progress.note)
        return _Run(job, out, options, device, progress).go(state if state.exists() and found is not None else None)


def _is_of(out: Path, found: Header) -> bool:
    """Whether `out` is the checkpoint of what `found` describes, and not an older one that a restart has yet to replace."""
    if not out.exists():
        return False
    header = read_checkpoint_header(out)
    return header.step == found.step and header.config.get("identity") == found.config["identity"]


def _dry_run(job: Job, found: Header | None, out: Path, options: RunOptions) -> Result:
    method = planned(job)
    trained = sum(parameter.numel() for optimizer in method.optimizers.values() for parameter in optimizer.parameters)
    facts = {"parameters": trained, "disk_bytes": room_of(job, method, options).needed(out)}
    return Result(None, {**facts, "from_step": found.step if found else 0, "steps": job.steps, **job.identity})


class _Run:
    """One run of a job: owns the method, its log and its clock."""

    def __init__(self, job: Job, out: Path, options: RunOptions, device: torch.device, progress: Progress) -> None:
        self.job, self.out, self.options, self.device, self.progress = job, out, options, device, progress
        with seeded(job.schedule.seed, "weights"):
            self.method = job.build(device)
        execute(self.method, job.schedule, options)
        halflife = job.schedule.ema_halflife_images
        self.ema = EMA(self.method.model, halflife) if halflife else None
        self.seconds_before = 0.0
        self.clock, self.stop = time.monotonic(), Stop(options.time_limit, since())

    @property
    def trained(self) -> nn.Module:
        """The model with the weights that the checkpoint will have."""
        return self.ema.module if self.ema else self.method.model

    def seconds(self) -> float:
        """How long this run has taken, over all its resumptions."""
        return self.seconds_before + time.monotonic() - self.clock

    def go(self, state: Path | None) -> Result:
        """Run to the end from `state`, or from the start, and write the checkpoint.

        Raises UnavailableError when a step does not fit the memory, with a batch that does.
        """
        job, options = self.job, self.options
        start = self._load(state) if state else 0
        steps = max(start, job.steps)  # a state may be further than what is asked for now
        with closing(Batches(
            job.images, "train", batch=job.rows_per_step, seed=job.schedule.seed, device=self.device,
            resident_megabytes=options.resident_megabytes,
        )) as batches:  # fmt: skip
            try:
                numbers, failed = self._train(batches, start, steps, fresh=not state), ""
            except torch.OutOfMemoryError as error:
                failed = str(error)  # the error itself holds the tensors of the step
            if failed:
                raise out_of_memory(failed, job, self.method, batches)
        if distributed.rank() == 0:
            self.write_checkpoint(self.out, steps)
        return Result(self.out, {"steps": steps, "seconds": round(self.seconds(), 1), **numbers})

    def _train(self, batches: Batches, start: int, steps: int, fresh: bool) -> dict[str, float]:
        """Steps start + 1 … steps; return the numbers of the last look, which the first process has."""
        job, options = self.job, self.options
        first = distributed.rank() == 0
        if fresh:
            self._start(batches)
            if first and self.out.exists():  # a restart: the old checkpoint stays until the end, but the run is this one from now on
                self.save(0)
        evaluator = (
            Evaluator(options.evaluation, job.images, job.schedule.seed, self.device, self.progress) if options.evaluation.every else None
        )
        looks = _Looks(self, start, evaluator) if first else None
        hooks = looks.hooks() if looks else Hooks(evaluate=functools.partial(self._help, evaluator))
        try:
            if looks and (effect := effect_of_precision(self.method, job.schedule.precision, batches(start)[0][:8])):
                self.progress.note(effect)
            if not start:
                hooks.monitor(0)
                hooks.evaluate(0)
            rhythm = Rhythm(options.log_every, options.monitor_every, options.preview_every, options.evaluation.every)
            with self.progress.task(job.stage, job.steps, "steps", done=start) as bar:
                train(
                    self.method, batches, self.ema, seed=job.schedule.seed, start=start, steps=steps, rhythm=rhythm, rate=job.rate,
                    precision=job.schedule.precision, save_seconds=60 * options.save_minutes, stop=self.stop, hooks=hooks, bar=bar,
                )  # fmt: skip
            return looks.numbers() if looks else {}
        finally:
            if looks:
                looks.log.close()

    @uncompiled
    def score(self, evaluator: Evaluator) -> float:
        """Of the weights as they are, with the other processes. Raises DivergedError."""
        return evaluator(self.trained["autoencoder"], self.trained["prior"])

    def _help(self, evaluator: Evaluator | None, step: int) -> None:
        """Have a part in a score that the first process asks for; it tells how that goes."""
        if evaluator:
            with suppress(DivergedError):
                self.score(evaluator)

    @uncompiled
    def _start(self, batches: Batches) -> None:
        self.method.start(lambda: batches.passes(self.job.schedule.batch))
        if self.ema:
            self.ema = EMA(self.method.model, self.ema.halflife_images)

    def made_by(self) -> dict[str, Any]:
        """The provenance of what this run writes."""
        return provenance(seconds=self.seconds(), seed=self.job.schedule.seed, device=str(self.device)) | {"processes": distributed.size()}

    def write_checkpoint(self, path: Path, step: int, **facts: Any) -> None:
        """Write the weights as they are; `facts` are added to the header's config."""
        settings = {
            **self.job.origin,
            **self.job.settings,
            "stage": self.job.stage,
            "schedule": vars(self.job.schedule),
            "identity": self.job.identity,
            **facts,
        }
        self.job.write(
            path, self.trained, settings=settings, step=step, inputs=self.job.inputs, made_by=self.made_by()
        )  # fmt: skip

    def save(self, step: int) -> None:
        """Write the state to resume from."""
        tensors = {}
        for name, module in self.method.modules.items():
            tensors |= prefixed(f"module.{name}", module)
        for name, optimizer in self.method.optimizers.items():
            tensors |= {f"optimizer.{name}.{key}": tensor for key, tensor in optimizer.tensors().items()}
        if self.ema:
            tensors |= prefixed("ema", self.ema.module)
        header = Header("state", {"identity": self.job.identity}, tensors_digest(tensors), step, self.job.inputs, self.made_by())
        write_checkpoint(run_folder(self.out) / "state.safetensors", tensors, header)

    def _load(self, state: Path) -> int:
        header, tensors = read_checkpoint(state)
        if header.kind != "state":
            raise FileError(f"{state}: not a state to resume from (kind '{header.kind}'); run with --restart")
        for name, module in self.method.modules.items():
            load_prefixed(module, f"module.{name}", tensors, state)
        for name, optimizer in self.method.optimizers.items():
            prefix = f"optimizer.{name}."
            optimizer.load_tensors({key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)})
        if self.ema:
            load_prefixed(self.ema.module, "ema", tensors, state)
        self.seconds_before = header.made_by["seconds"]
        self.progress.note(f"resuming {self.out} at step {header.step} of {self.job.steps}")
        return header.step


class _Looks:
    """What the first process does at the loop's moments: it writes the log, measures, scores, draws and saves."""

    def __init__(self, run: _Run, start: int, evaluator: Evaluator | None) -> None:
        self.run, self.evaluator = run, evaluator
        folder, seed = run_folder(run.out), run.job.schedule.seed
        self.log = Log(folder / "log.jsonl", start or -1)  # -1: no line of an earlier run stays
        self.monitor = run.job.monitor(run.job.images, seed, run.device, folder / "previews")
        discard(folder / "previews", start)
        self.warned: set[str] = set()
        self.best = self._best_before(folder / "log.jsonl")
        if not start:
            self._discard_best()

    def _best_before(self, log: Path) -> dict[str, float]:
        """The best score of the run that is resumed, with its step; an unscored run has none."""
        scored = [line for line in read_log(log) if line.get("kind") == "eval"]
        if not (self.evaluator and scored and best_file(self.run.out).exists()):  # without its checkpoint a score is no use
            return {}
        label, protocol = self.evaluator.label, self.evaluator.protocol.items()
        alike = [line for line in scored if label in line and protocol <= line.items()]
        if len(alike) < len(scored):
            self.run.progress.note(f"{log}: has scores that were measured otherwise; the best is one of those measured as now")
        return min(({label: line[label], "step": line["step"]} for line in alike), key=lambda best: best[label], default={})

    def _discard_best(self) -> None:
        """What an earlier run of the same stage kept as its best is not of this run."""
        path = best_file(self.run.out)
        if path.exists():
            try:
                mine = read_checkpoint_header(path).config.get("stage") == self.run.job.stage
            except FileError:
                return  # not ours: where this run is to write there, `check_target` has refused it
            if mine:
                path.unlink()

    def hooks(self) -> Hooks:
        """For the loop."""
        return Hooks(log=self.write, monitor=self.measure, preview=self.preview, evaluate=self.evaluate, save=self.run.save)

    @uncompiled
    def numbers(self) -> dict[str, float]:
        """Of the weights as they are, and the best score."""
        best = {f"best_{name}": value for name, value in self.best.items()}
        return self.monitor.numbers(self.run.method, self.run.trained) | best

    def evaluate(self, step: int) -> None:
        """Score samples, and keep the checkpoint if none before was better."""
        if not self.evaluator:
            return
        label, protocol = self.evaluator.label, self.evaluator.protocol
        try:
            score = {label: self.run.score(self.evaluator)}
        except DivergedError as error:  # far from the images a network may overflow early in training, and recover
            self.run.progress.note(f"step {step} is not scored: {error}")
            return
        self.log.write(step, kind="eval", seconds=round(self.run.seconds(), 3), **protocol, **score)
        if score[label] < self.best.get(label, math.inf):
            self.best = {**score, "step": step}
            self.run.write_checkpoint(best_file(self.run.out), step, score={**score, **protocol})

    def write(self, step: int, means: dict[str, float]) -> None:
        self.log.write(step, kind="loss", seconds=round(self.run.seconds(), 3), **means)
        self._warn(step, means)

    @uncompiled
    def measure(self, step: int) -> None:
        numbers = self.monitor.numbers(self.run.method, self.run.trained)
        self.log.write(step, kind="monitor", seconds=round(self.run.seconds(), 3), **numbers)
        self._warn(step, numbers)

    def _warn(self, step: int, numbers: dict[str, float]) -> None:
        """Say once of each kind what threatens the inverse."""
        model, precision = getattr(self.run.method, "autoencoder", None), self.run.job.schedule.precision
        if isinstance(model, Bijection):
            for kind, sentence in warnings_of(numbers, model, precision).items():
                if kind not in self.warned:
                    self.warned.add(kind)
                    self.run.progress.note(f"step {step}: {sentence}")

    @uncompiled
    def preview(self, step: int) -> None:
        self.monitor.preview(step, self.run.trained, self.run.made_by())
        thin(run_folder(self.run.out) / "previews", step, self.run.options.preview_every)
