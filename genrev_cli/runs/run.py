"""Run a training job: resume → train → write the checkpoint."""

from contextlib import closing
from pathlib import Path

import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.files.space import announce
from genrev_cli.files.targets import check_target
from genrev_cli.invocation import since
from genrev_cli.progress import Progress
from genrev_cli.result import Result
from genrev_cli.runs.callbacks import Callbacks, hooks_beside
from genrev_cli.runs.disk import disk_estimate, method_on_meta
from genrev_cli.runs.evaluation import Evaluator
from genrev_cli.runs.execution import effect_of_precision
from genrev_cli.runs.job import Job
from genrev_cli.runs.out_of_memory import out_of_memory
from genrev_cli.runs.resume import STATE, best_file, discard_best, earlier_run, owns_best, run_folder, run_lock
from genrev_cli.runs.state import RunState
from genrev_cli.runs.trackers import require_tracker
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.training import distributed
from genrev_cli.training.batches import Batches
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.loop import Intervals, Stop, train


def run_job(job: Job, out: Path, options: RunOptions, progress: Progress) -> Result:
    """Run a training stage to its end, from its last state if there is one, and write the checkpoint `out`.

    Raises UsageError when an earlier run to `out` had other settings, UnavailableError when the tracker is not installed, and DivergedError
    and InterruptedRun like `train`.
    """
    require_tracker(options.tracker)
    inputs = [Path(record["path"]) for record in job.inputs.values()]
    for target in [out, best_file(out)] if options.evaluation.every else [out]:
        check_target(target, job.kind, (".safetensors",), inputs)
    state = run_folder(out) / STATE
    device = resolve_device(options.device, "fp32" if options.dry_run else job.schedule.precision)  # a dry run may plan for another machine
    if distributed.rank() == 0 and (said := _of_warm_up(job)):
        progress.note(said)
    if options.dry_run:
        return _dry_run(job, _earlier(job, out, state, options), out, options)
    with run_lock(out):
        job.require_shares(distributed.size())
        found = _earlier(job, out, state, options)
        if found is not None and found.step >= job.steps and _describes(found, out):
            progress.note(f"{out} is complete ({found.step} steps); nothing to do (--restart trains it anew)")
            out.touch()  # so that make sees that it is up to date
            return Result(out, {"steps": found.step}, pictures_of(out))
        if found is not None and not state.exists() and found.step < job.steps:
            raise UsageError(f"{out}: has {found.step} steps, and its state, {state}, is gone; use --restart to train it anew")
        owner = owns_best(out, job.identity, defaults=job.older_identity)
        if options.evaluation.every and not owner:
            raise UsageError(f"{best_file(out)}: is of another training, and this one would replace it; choose another --out, or move it")
        if distributed.rank() == 0:
            announce(out, disk_estimate(job, method_on_meta(job), options).needed(out), progress.note)
        return _Run(job, out, options, device, owns_best=owner, progress=progress).go(
            state if state.exists() and found is not None else None
        )


def _earlier(job: Job, out: Path, state: Path, options: RunOptions) -> Header | None:
    return None if options.restart else earlier_run(job.stage, job.identity, out, state, defaults=job.older_identity)


def pictures_of(out: Path) -> Path | None:
    """Return the folder of a run's preview pictures, or None if it has none."""
    folder = run_folder(out) / "previews"
    return folder if any(folder.glob("*.png")) else None


def _describes(found: Header, out: Path) -> bool:
    """Return True if `out` is the checkpoint of the run of `found`, not an older one that a restarted run has yet to replace."""
    if not out.exists():
        return False
    header = read_checkpoint_header(out)
    return header.step == found.step and header.config.get("identity") == found.config["identity"]


def _of_warm_up(job: Job) -> str:
    """Return what a user should know of a run that ends before its warm-up does; '' otherwise."""
    warm_up = job.identity.get("method", {}).get("warm_up", 0)
    if job.steps > warm_up:
        return ""
    advice = f"take more than {warm_up:,} steps, or a shorter --warm-up"
    return f"all {job.steps:,} steps are warm-up, so samples will not look like images; {advice}"


def _dry_run(job: Job, found: Header | None, out: Path, options: RunOptions) -> Result:
    method = method_on_meta(job)
    trained = sum(parameter.numel() for optimizer in method.optimizers.values() for parameter in optimizer.parameters)
    facts = {"recipe": job.origin.get("recipe", ""), "parameters": trained, "disk_bytes": disk_estimate(job, method, options).needed(out)}
    if "from_loss" in job.origin:
        facts["from_loss"] = job.origin["from_loss"]
    return Result(None, {**facts, "from_step": found.step if found else 0, "steps": job.steps, **job.identity})


class _Run:
    """One run of a job. owns_best: the best checkpoint of an earlier run may be removed."""

    def __init__(self, job: Job, out: Path, options: RunOptions, device: torch.device, *, owns_best: bool, progress: Progress) -> None:
        self.job, self.out, self.options, self.device, self.owns_best, self.progress = job, out, options, device, owns_best, progress
        self.state = RunState(job, out, options, device)
        self.stop = Stop(options.time_limit, since())

    def go(self, saved: Path | None) -> Result:
        """Run to the end from the saved state, or from the start, and write the checkpoint.

        Raises UnavailableError when a step does not fit the memory; the error names a batch that does.
        """
        job, options, start = self.job, self.options, 0
        if saved:
            start = self.state.load(saved, self.progress.note)
            self.progress.note(f"resuming {self.out} at step {start} of {job.steps}")
        steps = max(start, job.steps)  # the state may already have more steps than are asked for now
        with closing(Batches(
            job.images, "train", batch=job.rows_per_step, seed=job.schedule.seed, device=self.device,
            resident_megabytes=options.resident_megabytes,
        )) as batches:  # fmt: skip
            try:
                numbers, failed = self._train(batches, start, steps, fresh=not saved), ""
            except torch.OutOfMemoryError as error:
                failed = str(error)  # the error itself holds the tensors of the step
            if failed:
                raise out_of_memory(failed, job, self.state.method, batches)
        if distributed.rank() == 0:
            self.state.write_checkpoint(self.out, steps)
        return Result(self.out, {"steps": steps, "seconds": round(self.state.seconds(), 1), **numbers}, pictures_of(self.out))

    def _train(self, batches: Batches, start: int, steps: int, fresh: bool) -> dict[str, float]:
        """Make steps start + 1 … steps; return the last measurement on rank 0, {} on the others."""
        job, options, state = self.job, self.options, self.state
        first = distributed.rank() == 0
        if fresh:
            state.start(batches)
            if first and self.owns_best:
                discard_best(self.out)
            if first and self.out.exists():  # a restart: the old checkpoint stays until the end, but from now on the state is the new run's
                state.save(0)
        evaluator = (
            Evaluator(options.evaluation, job.images, job.schedule.seed, self.device, progress=self.progress)
            if options.evaluation.every
            else None
        )
        callbacks = Callbacks(state, evaluator, start, options=options, progress=self.progress) if first else None
        hooks = callbacks.hooks() if callbacks else hooks_beside(evaluator, state)
        try:
            if callbacks and (effect := effect_of_precision(state.method, job.schedule.precision, batches(start)[0][:8])):
                self.progress.note(effect)
            if not start:
                hooks.monitor(0)
                hooks.evaluate(0)
            intervals = Intervals(options.log_every, options.monitor_every, options.preview_every, options.evaluation.every)
            with self.progress.task(job.stage, job.steps, "steps", done=start) as bar:
                train(
                    state.method, batches, state.ema, seed=job.schedule.seed, start=start, steps=steps, intervals=intervals, rate=job.rate,
                    precision=job.schedule.precision, save_seconds=60 * options.save_minutes, stop=self.stop, hooks=hooks, bar=bar,
                )  # fmt: skip
            return callbacks.numbers() if callbacks else {}
        finally:
            if callbacks:
                callbacks.close()
