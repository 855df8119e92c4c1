"""fit-ot: codes → a semi-discrete transport map that draws codes between them (An et al. 2020, section 3.2)."""

import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genrev_cli.errors import InterruptedRun, UsageError
from genrev_cli.files.checkpoint_header import read_checkpoint_header
from genrev_cli.files.codes import CodeSet
from genrev_cli.files.header import provenance
from genrev_cli.files.space import announce, tensors_bytes
from genrev_cli.invocation import since
from genrev_cli.latents.transport_maps import assemble, averaged, measure_map
from genrev_cli.ot.cells import Accuracy, judge
from genrev_cli.ot.semidiscrete import Solver, SolverConfig, bf16_suffices, build_solver
from genrev_cli.ot.source import Ranks
from genrev_cli.ot.top_cells import searched_by_host
from genrev_cli.progress import SILENT, Progress, Task
from genrev_cli.result import Result
from genrev_cli.runs.disk import DiskEstimate
from genrev_cli.runs.resume import STATE, earlier_run, run_folder, run_lock
from genrev_cli.runs.saved import read_state, seconds_of, write_state
from genrev_cli.seeds import derive
from genrev_cli.settings.transport_map import CLUSTERS, EDGE, MANY_CODES, FitOtOptions
from genrev_cli.store.samplers import check_sampler_target, open_finite_codes, rows_of_maps, write_sampler
from genrev_cli.training import distributed
from genrev_cli.training.devices import has_bf16, resolve_device
from genrev_cli.training.log import Log, read_log
from genrev_cli.training.loop import Stop
from genrev_cli.training.peers import waiting

STAGE = "fit-ot"
SAMPLES_PER_CODE = 200  # the default limit; rel is about 0.08 then
JUDGES_PER_CODE, LEAST_JUDGES = 3, 100_000
JUDGES_PER_ROOT = 250
"""With a search, the error is measured on this many samples times √n: the standard deviation of χ² is √(2n)/M, so 0.006."""


def fit_ot(codes: Path, out: Path, options: FitOtOptions, *, progress: Progress = SILENT) -> Result:
    """Solve for the heights of all codes, or of those of each class, and write the extended map as a sampler.

    Run again, it resumes from the state in the run folder, even with other settings of the map or a smaller target error.
    Raises FileError for unusable files, UsageError for unusable options or labels, InterruptedRun after SIGINT or SIGTERM.
    """
    check_sampler_target(out, "ot", codes)
    device, given = resolve_device(options.device), open_finite_codes(codes)
    with run_lock(out):
        return _Fit(given, out, options, device, progress=progress).go()


def _bound(options: FitOtOptions) -> dict[str, Any]:
    """Return the settings of the complex. Maps with angles keep the header that they had before there were edges."""
    return {"complex": EDGE, "epsilon": options.epsilon} if options.complex == EDGE else {"theta": options.theta}


class _Fit:
    """One fit: the solvers of all maps, and the clock."""

    def __init__(self, given: CodeSet, out: Path, options: FitOtOptions, device: torch.device, *, progress: Progress) -> None:
        self.given, self.out, self.options, self.device, self.progress = given, out, options, device, progress
        parts = [torch.from_numpy(given.codes)[rows].to(device) for rows in rows_of_maps(given, per_class=options.per_class)]
        self.state = run_folder(out) / STATE
        precision, above = self._precision(parts), self._search_above()
        searched = [above is not None and len(codes) > above for codes in parts]
        solving: dict[str, Any] = {"per_class": options.per_class, "precision": precision, "seed": options.seed}
        solving |= {} if options.source == "cube" else {"source": options.source}  # earlier runs have no key
        solving |= {"search_above": above} if any(searched) else {}
        self.identity: dict[str, Any] = {"stage": STAGE, **solving, "inputs": {"codes": given.header.sha256}}
        ranks = Ranks(distributed.rank(), distributed.size(), distributed.total)
        configs = [SolverConfig(precision=precision, source=options.source, search=search) for search in searched]
        self.solvers = [
            build_solver(codes, None, config, self.seed(number), ranks=ranks)
            for number, (codes, config) in enumerate(zip(parts, configs, strict=True))
        ]
        self.ranks, self.first = ranks, ranks.rank == 0
        self.seconds_before, self.clock, self.saved = 0.0, time.monotonic(), time.monotonic()

    def _precision(self, parts: list[Tensor]) -> str:
        if self.options.precision != "auto":
            return self.options.precision
        source = self.options.source
        suffices = has_bf16(self.device) and all(bf16_suffices(codes, None, self.seed(k), source) for k, codes in enumerate(parts))
        return "bf16" if suffices else "fp32"

    def _search_above(self) -> int | None:
        """Return the number of codes above which cells of a map are searched for; None: never. A run goes on as it began.

        Raises UsageError if a search is asked for, or has begun, and the device is not a CPU.
        """
        above: int | None = {"auto": MANY_CODES, "exact": None, CLUSTERS: 0}[self.options.search]
        on_host, begun = searched_by_host(self.device), [path for path in (self.state, self.out) if path.exists()]
        if self.options.search == "auto":
            if begun and not self.options.restart:
                above = read_checkpoint_header(begun[0]).config.get("identity", {}).get("search_above")
            elif not on_host:
                above = None
        if above is not None and not on_host:
            raise UsageError(f"--search {CLUSTERS}: searches on a CPU only, and the device is {self.device}; use --search exact --restart")
        return above

    def seed(self, number: int) -> int:
        """Return the seed of a map."""
        return derive(self.options.seed, STAGE, number)

    @property
    def samples(self) -> int:
        """Samples used so far, by all maps together."""
        return sum(solver.samples for solver in self.solvers)

    def limit(self, solver: Solver) -> int:
        """Return the most samples that a map may use, a whole number of steps."""
        samples = self.options.max_samples or SAMPLES_PER_CODE * len(solver.target.codes)
        return math.ceil(samples / solver.batch) * solver.batch

    def go(self) -> Result:
        """Solve every map and write the sampler."""
        found = None if self.options.restart else earlier_run(STAGE, self.identity, self.out, self.state)
        if self.first:
            announce(self.out, self._disk_estimate().needed(self.out), self.progress.note)
        if found is not None and self.state.exists():
            self._load()
            self.progress.note(f"resuming {self.out} at {self.samples:,} samples")
        elif self.options.restart and (self.state.exists() or self.out.exists()):
            self._save(None)  # now this run replaces the earlier one, even if it is killed
        log = Log(run_folder(self.out) / "log.jsonl", self.samples) if self.first else None
        try:
            limit = sum(map(self.limit, self.solvers))
            stop = Stop(self.options.time_limit, since())
            with stop.listening(), self.progress.task(STAGE, limit, "samples at most", done=self.samples) as bar:
                errors = [self._solve(number, stop, log, bar) for number in range(len(self.solvers))]
            self._save(log)
        finally:
            if log:
                log.close()
        return self._write(errors)

    def _disk_estimate(self) -> DiskEstimate:
        state = [tensor for solver in self.solvers for tensor in solver.tensors().values()]
        n, dim = self.given.codes.shape
        headers = 2 * len(json.dumps(self._inputs()))
        return DiskEstimate(
            tensors_bytes(sum(tensor.nbytes for tensor in state), len(state), headers),
            tensors_bytes(4 * n * (2 * dim + 2), 4 * len(self.solvers), headers),  # codes and centres, heights and weights
            beside=0,
            scored=False,
        )

    def _solve(self, number: int, stop: Stop, log: Log | None, bar: Task) -> Accuracy:
        """Step until the error on fresh samples is small enough; it is measured after 2n, 4n, 8n, … samples, and at the limit.

        With a search, which makes it cheap, it is also measured half-way between, in octaves.
        """
        solver, options = self.solvers[number], self.options
        n, stepped, looks = len(solver.target.codes), False, 2 if solver.search else 1
        while True:
            octave = looks * math.log2(max(solver.samples, 1) / n)
            doubled = octave >= looks and math.floor(octave) > looks * math.log2(max(solver.samples - solver.batch, 1) / n)
            if doubled or solver.samples >= self.limit(solver):
                error = self._judged(number)
                bar.advance(0, map=number, error=error.rel, chi2=error.chi2)
                self._log(log, number, error)
                if stepped:  # a resumed run measures again first, and must make at least one step
                    self._heed(stop, log)
                if error.within(options.error) or solver.samples >= self.limit(solver):
                    return error
            with waiting():
                solver.step()
            stepped = True
            bar.advance(solver.batch)
            self._heed(stop, log)

    def _judged(self, number: int) -> Accuracy:
        """Measure the error of a map. A search tells whether it is large; that it is small, or the last one, all codes must show."""
        solver = self.solvers[number]
        target, n = solver.target, len(solver.target.codes)
        samples = JUDGES_PER_ROOT * math.isqrt(n) if solver.search else JUDGES_PER_CODE * n
        measured = partial(
            judge, target.codes, solver.heights(), samples=max(LEAST_JUDGES, samples), seed=self.seed(number), weights=target.weights,
            source=self.options.source, ranks=self.ranks,
        )  # fmt: skip
        if solver.search and solver.samples < self.limit(solver):
            error: Accuracy = measured(search=solver.search)
            if not error.within(self.options.error):
                return error
        return measured()

    def _heed(self, stop: Stop, log: Log | None) -> None:
        """Save the state at intervals, and stop if that is asked for. Raises InterruptedRun."""
        stopping = distributed.any_rank(stop.requested)
        if stopping or distributed.any_rank(time.monotonic() - self.saved > 60 * self.options.save_minutes) or stop.unsure:
            with stop.saving():
                self._save(log)
            stopping = distributed.any_rank(stop.requested)  # another save may not fit in the time that is left
        if stopping:
            raise InterruptedRun(f"stopped after {self.samples:,} samples; the state is saved, and the same command goes on from there")

    def _log(self, log: Log | None, number: int, error: Accuracy) -> None:
        """Log each measurement of the error once, even if a resumed run repeats it."""
        found = {"map": number, "map_samples": self.solvers[number].samples}
        path = run_folder(self.out) / "log.jsonl"
        if log and not any(found.items() <= line.items() for line in read_log(path)):
            told = {"rel": error.rel, "rel_std": error.rel_std, "chi2": error.chi2, "empty": error.empty}
            log.write(self.samples, kind="error", **found, seconds=round(self._seconds(), 3), **told)

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.clock

    def _made_by(self) -> dict[str, Any]:
        made_by = provenance(seconds=self._seconds(), seed=self.options.seed, device=str(self.device))
        return made_by | {"processes": self.ranks.size}

    def _inputs(self) -> dict[str, Any]:
        return {"codes": self.given.header.as_input(self.given.path)}

    def _save(self, log: Log | None) -> None:
        """Write the state to resume from. The log is flushed first: after a power cut it must not be shorter than the state."""
        self.saved = time.monotonic()
        if log:
            log.sync()
        if self.first:
            parts = [solver.tensors().items() for solver in self.solvers]
            tensors = {f"{number}.{name}": tensor for number, part in enumerate(parts) for name, tensor in part}
            write_state(
                self.state, tensors, identity=self.identity, step=self.samples, inputs=self._inputs(), made_by=self._made_by(),
                device=self.device,
            )  # fmt: skip

    def _load(self) -> None:
        header, tensors = read_state(self.state, self._inputs(), self._made_by(), device=self.device, note=self.progress.note)
        self.seconds_before = seconds_of(header)
        for number, solver in enumerate(self.solvers):
            mark = f"{number}."
            solver.load_tensors({name.removeprefix(mark): tensor for name, tensor in tensors.items() if name.startswith(mark)})

    def _write(self, errors: list[Accuracy]) -> Result:
        options, parts = self.options, []
        with self.progress.task("cells", len(self.solvers), "maps") as bar:
            for number, solver in enumerate(self.solvers):
                parts.append(measure_map(solver, options, self.seed(number), precision=self.identity["precision"], ranks=self.ranks))
                bar.advance()
        shares = torch.tensor([len(solver.target.index) for solver in self.solvers], dtype=torch.float64)
        sampler = assemble(parts, shares / shares.sum(), options)
        numbers = {
            "codes": int(shares.sum()), "dim": sampler.dim, "maps": len(parts), "samples": self.samples,
            "rel": max(error.rel for error in errors), "rel_std": max(error.rel_std for error in errors),
            "chi2": max(error.chi2 for error in errors),
            **({} if any(solver.search for solver in self.solvers) else {"empty": sum(error.empty for error in errors)}),
            options.bound_name: list(sampler.bounds),
            **averaged([part.statistics for part in parts]), "seconds": round(self._seconds(), 1),
        }  # fmt: skip
        for number, error in enumerate(errors):
            if not error.within(options.error):
                self.progress.note(
                    f"map {number}: the error of its cells is {error.rel:.3g} ± {error.rel_std:.2g} after {self.solvers[number].samples:,} "
                    f"samples, not surely below {options.error:g}; raise --max-samples to go on"
                )
        config = {
            "fit": {**{name: value for name, value in self.identity.items() if name not in ("stage", "inputs")}, **_bound(options)},
            "identity": self.identity, "numbers": numbers, "history": read_log(run_folder(self.out) / "log.jsonl"),
        }  # fmt: skip
        if self.first:
            write_sampler(self.out, sampler, config=config, inputs=self._inputs(), made_by=self._made_by(), step=self.samples)
        return Result(self.out, numbers)
