"""Cut the power of a simulated disk at any moment of a run, look at what is left, and let the run go on from it.

    python tests/faults/power_cuts.py --n 2000

The run is small: its weights are one number that each step changes, its score a function of them. Log, callbacks, state, checkpoints and
atomic writes are genrev's own.
"""

import argparse
import math
import random
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from simulated_disk import recording, written

from genrev_cli.errors import GenrevError
from genrev_cli.files.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from genrev_cli.files.header import Header
from genrev_cli.progress import SILENT
from genrev_cli.runs import callbacks
from genrev_cli.runs.resume import STATE, best_file, discard_best, run_folder
from genrev_cli.runs.saved import read_state, write_state
from genrev_cli.training.log import read_log

STEPS, LOG, EVALUATE, SAVE = 12, 1, 2, 3
CPU = torch.device("cpu")
NAME = "m.safetensors"


class Monitor:
    """Measures nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def preview(self, *_: Any) -> None:
        pass


class Run:
    """What callbacks know of a run. weights: () float64, changed by each step."""

    def __init__(self, folder: Path) -> None:
        self.out, self.folder, self.device = folder / NAME, run_folder(folder / NAME), CPU
        self.method = SimpleNamespace(warnings=lambda numbers: {})
        self.job = SimpleNamespace(monitor=Monitor, images=None, schedule=SimpleNamespace(seed=0, precision="fp32"), identity={})
        self.weights = torch.zeros((), dtype=torch.float64)

    def seconds(self) -> float:
        return 0.0

    def step(self, number: int) -> None:
        self.weights = torch.sin(self.weights + number)

    def score(self) -> float:
        return float(self.weights)

    def _write(self, path: Path, step: int, **facts: Any) -> None:
        tensors = {"weights": self.weights}
        config = {"model": {"name": "m"}, "prior": {"name": "p"}, **facts}
        write_checkpoint(path, tensors, Header("checkpoint", config, tensors_digest(tensors), step))

    write_checkpoint = _write

    def save(self, step: int) -> None:
        write_state(self.folder / STATE, {"weights": self.weights}, identity={}, step=step, inputs={}, made_by={}, device=CPU)

    def load(self) -> int:
        header, tensors = read_state(self.folder / STATE, {}, {}, device=CPU, note=lambda sentence: None)
        self.weights = tensors["weights"]
        return header.step


class Evaluator:
    label, protocol = "fid", {"n": 1}


def live(folder: Path) -> None:
    """Run to the end, from the state if there is one."""
    run = Run(folder)
    start = run.load() if (run.folder / STATE).exists() else 0
    if not start:
        discard_best(run.out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "score", lambda evaluator, state: state.score())
        options = SimpleNamespace(tracker="", preview_every=0)
        calls = callbacks.Callbacks(run, Evaluator(), start, options=options, progress=SILENT)
        hooks = calls.hooks()
        if not start:
            hooks.evaluate(0)
        for step in range(start + 1, STEPS + 1):
            run.step(step)
            hooks.log(step, {"L_x": float(run.weights)})
            if step % EVALUATE == 0:
                hooks.evaluate(step)
            if step % SAVE == 0:
                hooks.save(step)
        calls.close()
    run.write_checkpoint(run.out, STEPS)


def faults(folder: Path, resumed: bool) -> list[str]:
    """Return what does not fit together in a folder, one sentence each.

    resumed: the run had gone on from a state. Its log then ends at that state at first, and the best checkpoint may be of a later step,
    which the run makes again.
    """
    out, found = folder / NAME, []
    log_path, state, best = run_folder(out) / "log.jsonl", run_folder(out) / STATE, best_file(out)
    try:
        log = read_log(log_path)
        headers = {path: read_checkpoint(path)[0] for path in (out, state, best) if path.exists()}
    except GenrevError as error:
        return [f"cannot be read: {error}"]
    last = max((line["step"] for line in log), default=-1)
    at = headers[state].step if state in headers else 0
    again = resumed and best in headers and headers[best].step > max(at, last)
    for path, header in headers.items():
        if header.step > last and not (path == best and again):
            found.append(f"{path.name} is of step {header.step}, and the log ends at {last}")
    steps = [line["step"] for line in log if line["kind"] == "loss"]
    if steps != list(range(1, len(steps) + 1)):
        found.append(f"the log has the steps {steps}")
    scores = {line["step"]: line["fid"] for line in log if line["kind"] == "eval"}
    if best in headers:
        value, step = headers[best].config["score"]["fid"], headers[best].step
        if scores.get(step) != value and not again:
            found.append(f"the best score is {value} at step {step}, the log has {scores.get(step)}")
        if value > min((score for number, score in scores.items() if number <= at), default=math.inf):
            found.append(f"the best score, {value}, is not the best of those up to the state")
    elif any(0 < number <= at for number in scores):
        found.append("there is no best checkpoint")
    if out in headers and (state not in headers or headers[state].step < headers[out].step):
        found.append("the checkpoint is newer than the state")
    return found


def ends(folder: Path) -> dict[str, Any]:
    """Return what a completed run leaves: weights and steps of its checkpoints, and its log."""
    out = folder / NAME
    files = {path.name: read_checkpoint(path) for path in (out, best_file(out), run_folder(out) / STATE)}
    return {name: (header.step, tensors["weights"].item()) for name, (header, tensors) in files.items()} | {
        "log": read_log(run_folder(out) / "log.jsonl"),
        "files": sorted(path.name for path in folder.rglob("*")),
    }


def attack(n: int, seed: int) -> tuple[int, list[str]]:
    """Try n power cuts. Return the number of runs, and the failures.

    A run is cut at a random moment; what is left is looked at. A part of what was left goes on, and is cut again.
    """
    rng, failures, runs, cuts = random.Random(seed), [], 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "whole").mkdir()
        live(root / "whole")
        wanted, start = ends(root / "whole"), {}
        while cuts < n:
            runs += 1
            folder = written(start, root / f"run-{runs}")
            with recording(folder) as recorder:
                live(folder)
            if (found := ends(folder)) != wanted:
                failures.append(f"run {runs} ended otherwise: {[key for key in wanted if found[key] != wanted[key]]}")
            for _ in range(min(25, n - cuts)):
                cuts += 1
                left = rng.choice(recorder.moments).cut(rng)
                look = written(left, root / f"cut-{cuts}")
                failures += [f"cut {cuts}: {sentence}" for sentence in faults(look, resumed=bool(start))]
            start = left if rng.random() < 0.75 else {}
    return runs, failures


def main() -> int:
    """Print the failures. Return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    runs, failures = attack(options.n, options.seed)
    print(*failures[:40], f"{options.n} power cuts in {runs} runs, {len(failures)} failures", sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
