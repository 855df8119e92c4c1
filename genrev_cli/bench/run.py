"""bench: run benchmarks and write the results with their conditions."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch

from genrev_cli.bench.batches_loading import loading
from genrev_cli.bench.fid_extraction import extraction
from genrev_cli.bench.fid_frechet import frechet
from genrev_cli.bench.fid_moments import moments
from genrev_cli.bench.growth import metrics, stages, training, transport
from genrev_cli.bench.harness import Table
from genrev_cli.bench.inn_step import inn_step
from genrev_cli.bench.machine import conditions, threads
from genrev_cli.bench.ot_drawing import drawing
from genrev_cli.bench.ot_minibatch import minibatch
from genrev_cli.bench.ot_semidiscrete import semidiscrete
from genrev_cli.bench.revnet_step import revnet_depth, revnet_step
from genrev_cli.bench.sample_files import writing
from genrev_cli.bench.sample_images import sampling
from genrev_cli.bench.tasks.chart import bars
from genrev_cli.bench.tasks.registry import TASKS
from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.pictures import json_digest, pixels_digest, write_json, write_picture
from genrev_cli.files.targets import check_target
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.training.devices import resolve_device

Section: TypeAlias = Callable[[BenchOptions, torch.device, Progress], list[Table]]

BENCHES: dict[str, dict[str, Section]] = {
    "batches": {"loading": loading},
    "fid": {"extraction": extraction, "frechet": frechet, "moments": moments},
    "growth": {"training": training, "metrics": metrics, "transport": transport, "stages": stages},
    "inn": {"step": inn_step},
    "ot": {"minibatch": minibatch, "semidiscrete": semidiscrete, "drawing": drawing},
    "revnet": {"step": revnet_step, "depth": revnet_depth},
    "sample": {"sampling": sampling, "writing": writing},
    "task": TASKS,
}
"""Name of a benchmark → its sections, in the order in which they run."""

TAKES = {
    "images": ("batches", "fid", "sample", "task"),
    "batch": ("batches", "inn", "revnet", "sample", "task"),
    "path": ("batches", "task"),
}
"""Size options that only some benchmarks use → the names of these."""


def bench(name: str, out: Path, options: BenchOptions, *, progress: Progress = SILENT) -> Result:
    """Run the sections of one benchmark and write a JSON of kind 'bench': the conditions and a list of tables.

    'task' also writes a picture of its ratios beside it (.png).

    Raises UsageError for an unknown name or section, or an option that the benchmark does not use, UnavailableError for a missing
    device, FileError if `out` exists and is not a benchmark's result.
    """
    if name not in BENCHES:
        raise UsageError(f"bench {name}: unknown; choose {', '.join(BENCHES)}")
    for option, names in TAKES.items():
        if getattr(options, option) and name not in names:
            raise UsageError(f"--{option}: bench {name} does not use it, only {', '.join(names)}")
    chosen = options.only or tuple(BENCHES[name])
    for section in chosen:
        if section not in BENCHES[name]:
            raise UsageError(f"--only {section}: bench {name} has no such section; choose {', '.join(BENCHES[name])}")
    start, device = time.perf_counter(), resolve_device(options.device)
    check_target(out, "bench", (".json",), [])
    if name == "task":
        check_target(out.with_suffix(".png"), "bench", (".png",), [])
    with threads(options.threads):
        before = conditions(device)
        tables = [table for section in chosen for table in BENCHES[name][section](options, device, progress)]
        load_after = conditions(device).get("load")
    config = {
        "bench": name,
        "sections": list(chosen),
        **{key: getattr(options, key) or 0 for key in ("rounds", "threads", "images", "batch")},
        **{key: getattr(options, key) for key in ("quick", "bf16")},
        "path": str(options.path or ""),
    }
    numbers = {"conditions": {**before, "load_after": load_after}, "tables": [table.as_json() for table in tables]}
    made_by = provenance(seconds=time.perf_counter() - start, device=str(device))
    write_json(out, numbers, Header("bench", config, json_digest(numbers), made_by=made_by))
    picture = bars(tables) if name == "task" else None
    if picture is not None:
        write_picture(out.with_suffix(".png"), picture, Header("bench", config, pixels_digest(picture), made_by=made_by))
    return Result(out, numbers)
