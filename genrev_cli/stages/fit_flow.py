"""fit-flow: codes → a flow from N(0, I) to them: a sampler, and a bijection with a density (Lipman et al. 2023)."""

import json
import time
from pathlib import Path
from typing import Any

import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.codes import CodeSet
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.space import announce, tensors_bytes
from genrev_cli.invocation import since
from genrev_cli.latents.flow import Flow
from genrev_cli.latents.transport import TransportMap
from genrev_cli.methods.flow_matching import FlowMatching, build_coupling
from genrev_cli.metrics.sliced import sliced_wasserstein
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.runs.disk import DiskEstimate
from genrev_cli.runs.resume import earlier_run, run_folder, run_lock
from genrev_cli.runs.saved import read_state, seconds_of, write_state
from genrev_cli.runs.state import load_training, training_tensors
from genrev_cli.seeds import derive
from genrev_cli.settings.flow import FitFlowOptions
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.store.samplers import check_sampler_target, load_sampler, open_finite_codes, rows_of_maps, write_sampler
from genrev_cli.training.batches import CodeBatches
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.ema import EMA
from genrev_cli.training.log import Log, read_log
from genrev_cli.training.loop import Hooks, Intervals, Stop, seeded, train

STAGE = "fit-flow"
COMPARED, PROJECTIONS = 2000, 256
"""Number of drawn codes that are compared with the data's at the end, and of directions."""


def fit_flow(codes: Path, out: Path, options: FitFlowOptions, *, progress: Progress = SILENT) -> Result:
    """Fit a flow to codes and write it as a sampler.

    Run again, it resumes from the state in the run folder, also with more steps or another solver.
    Raises FileError for unusable files and for a map of other codes, UsageError for unusable options or labels, InterruptedRun after
    SIGINT or SIGTERM, DivergedError like `train`.
    """
    check_sampler_target(out, "flow", codes)
    given, device = open_finite_codes(codes), resolve_device(options.device)
    with run_lock(out):
        return _Fit(given, out, options, device, progress=progress).go()


def _open_map(path: Path, given: CodeSet, per_class: bool) -> tuple[Header, TransportMap]:
    """Read the map of --ot. Raises FileError for one that does not pair N(0, I) with these codes."""
    header, found = load_sampler(SamplerFile(path, "ot"))
    assert isinstance(found, TransportMap), "the name 'ot' is that of transport maps"
    if found.source != "gaussian":
        raise FileError(f"{path}: is a map from the cube; 'genrev fit-ot {given.path} --source gaussian' makes the map that is needed")
    if header.inputs.get("codes", {}).get("sha256") != given.header.sha256:
        raise FileError(f"{path}: was fitted to other codes than {given.path}; run 'genrev fit-ot {given.path} --source gaussian'")
    if bool(found.classes) != per_class:
        has, cure = ("a map per class", "add") if found.classes else ("one map of all classes", "leave out")
        raise FileError(f"{path}: has {has}; {cure} --per-class, here or in fit-ot")
    return header, found


class _Fit:
    """One fit: the method, its averaged weights, and the clock."""

    def __init__(self, given: CodeSet, out: Path, options: FitFlowOptions, device: torch.device, *, progress: Progress) -> None:
        self.given, self.out, self.options, self.device, self.progress = given, out, options, device, progress
        self.codes, self.labels = torch.from_numpy(given.codes).to(device), torch.from_numpy(given.labels).to(device)
        found = _open_map(options.ot, given, options.per_class) if options.ot else None
        self.inputs = {"codes": given.header.as_input(given.path)}
        if options.ot and found:
            self.inputs["ot"] = found[0].as_input(options.ot)
        classes = len(rows_of_maps(given, per_class=True)) if options.per_class else 0
        width, blocks = options.size(*given.codes.shape)
        with seeded(options.seed, "weights"):
            flow = Flow(
                given.codes.shape[1], width=width, blocks=blocks, classes=classes, solver=options.solver, steps=options.solver_steps
            )
        flow.fit(self.codes.cpu(), self.labels.cpu())
        flow.to(device)
        coupling = build_coupling(options.coupling, flow, found[1].to(device) if found else None)
        self.method = FlowMatching(flow, options.method, coupling)
        self.ema = EMA(flow, options.ema_halflife * options.batch) if options.ema_halflife else None
        network = {"width": width, "blocks": blocks, "classes": classes}
        chosen = {"batch": options.batch, "ema_halflife": options.ema_halflife, "seed": options.seed}
        digests = {role: record["sha256"] for role, record in self.inputs.items()}
        self.identity: dict[str, Any] = {
            "stage": STAGE, "network": network, "method": vars(options.method), "schedule": chosen, "inputs": digests,
        }  # fmt: skip
        self.state = run_folder(out) / "state.safetensors"
        self.seconds_before, self.clock = 0.0, time.monotonic()

    @property
    def flow(self) -> Flow:
        """The flow that is written: the averaged one, if there is one."""
        found = self.ema.module if self.ema else self.method.flow
        assert isinstance(found, Flow), "the average of a flow is a flow"
        return found

    def go(self) -> Result:
        """Train to the end and write the sampler."""
        found = None if self.options.restart else earlier_run(STAGE, self.identity, self.out, self.state)
        announce(self.out, self._disk_estimate().needed(self.out), self.progress.note)
        start = 0
        if found is not None and self.state.exists():
            start = self._load()
            self.progress.note(f"resuming {self.out} at step {start} of {self.options.steps}")
        elif found is not None and found.step < self.options.steps:
            raise UsageError(f"{self.out}: has {found.step} steps, and its state, {self.state}, is gone; use --restart to train it anew")
        elif self.options.restart and (self.state.exists() or self.out.exists()):
            self._save(0)  # now this run replaces the earlier one, even if it is killed
        steps = max(start, self.options.steps)
        self._train(start, steps)
        return self._write(steps)

    def _train(self, start: int, steps: int) -> None:
        options = self.options
        batches = CodeBatches(self.codes, self.labels, batch=options.batch, seed=options.seed)
        log = Log(run_folder(self.out) / "log.jsonl", start or -1)

        def write(step: int, means: dict[str, float]) -> None:
            log.write(step, kind="loss", seconds=round(self._seconds(), 3), **means)

        def save(step: int) -> None:
            log.sync()  # after a power cut the log must not be shorter than the state
            self._save(step)

        try:
            with self.progress.task(STAGE, steps, "steps", done=start) as bar:
                train(
                    self.method, batches, self.ema, seed=options.seed, start=start, steps=steps,
                    intervals=Intervals(options.log_every, monitor=0, preview=0), rate=lambda step: 1.0, precision="fp32",
                    save_seconds=60 * options.save_minutes, stop=Stop(options.time_limit, since()),
                    hooks=Hooks(log=write, save=save), bar=bar,
                )  # fmt: skip
        finally:
            log.close()

    def _disk_estimate(self) -> DiskEstimate:
        tensors = self.flow.state_dict().values()
        size, headers = sum(tensor.nbytes for tensor in tensors), 2 * len(json.dumps(self.inputs))
        one, state = (tensors_bytes(copies * size, copies * len(tensors), headers) for copies in (1, 4))  # moments and average too
        return DiskEstimate(state, one, beside=0, scored=False)

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.clock

    def _made_by(self) -> dict[str, Any]:
        return provenance(seconds=self._seconds(), seed=self.options.seed, device=str(self.device))

    def _save(self, step: int) -> None:
        """Write the state to resume from."""
        tensors = training_tensors(self.method, self.ema)
        made_by = self._made_by()
        write_state(self.state, tensors, identity=self.identity, step=step, inputs=self.inputs, made_by=made_by, device=self.device)

    def _load(self) -> int:
        header, tensors = read_state(self.state, self.inputs, self._made_by(), device=self.device, note=self.progress.note)
        load_training(self.method, self.ema, tensors, self.state)
        self.seconds_before = seconds_of(header)
        return header.step

    def _write(self, steps: int) -> Result:
        sampler, history = self.flow, read_log(run_folder(self.out) / "log.jsonl")
        parameters = sum(parameter.numel() for parameter in sampler.parameters())
        n, dim = self.given.codes.shape
        numbers = {
            "codes": n, "dim": dim, "pairs": self.options.coupling, "parameters": parameters, "steps": steps,
            "swd_codes": self._distance(), "seconds": round(self._seconds(), 1),
        }  # fmt: skip
        fit = {**self.identity["method"], **self.identity["schedule"], "training_steps": steps}
        config = {"fit": fit, "identity": self.identity, "numbers": numbers, "history": history}
        write_sampler(self.out, sampler, config=config, inputs=self.inputs, made_by=self._made_by(), step=steps)
        return Result(self.out, numbers)

    @torch.no_grad()
    def _distance(self) -> float:
        """Return the sliced Wasserstein distance of drawn codes to the data's, in units of their standard deviation."""
        n = min(COMPARED, len(self.codes))
        generator = torch.Generator().manual_seed(derive(self.options.seed, "compared"))
        real = self.codes[torch.randperm(len(self.codes), generator=generator)[:n].to(self.device)]
        drawn = self.flow.sample_numbered(derive(self.options.seed, "compared"), range(COMPARED))
        return sliced_wasserstein(drawn.cpu(), real.cpu(), projections=PROJECTIONS, generator=generator).item() / self.flow.scale.item()
