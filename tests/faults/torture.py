"""Kill every stage at random moments, run it again, and compare its result with that of an undisturbed run.

    python tests/faults/torture.py --kills 20 [STAGE …]

prints a table: stage, kills by signal, completed runs, losses.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import GenrevError
from genrev_cli.files.any import read_any_header

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
INTERRUPTED = 130
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}  # the networks are tiny, and waiting threads would only slow down other work

RECIPE = """
[model]
name = "revnet"
scales = [{{ blocks = 1, hidden = 16 }}, {{ blocks = 1, hidden = 16 }}]
[prior]
name = "{prior}"
{dim}
[pretrain-recon]
batch = 64
steps = {steps}
[train-adversarial]
prior_samples = 64
hidden = [32, 32]
batch = 64
steps = {steps}
[train-ot]
batch = 128
steps = {steps}
[train-flow]
batch = 64
steps = {steps}
[train-gan]
batch = 64
steps = {steps}
weight_content = 1.0
"""
RECIPES = {"gaussian": ("active-gaussian", "dim = 8"), "classes": ("class-gaussians", ""), "flow": ("diagonal-gaussian", "")}

RUN = "--device cpu --log-every 5 --monitor-every 20 --preview-every 20 --save-minutes 0.001"
STEPS = 200  # some seconds

PREPARED = (
    "prepare-data digits --out {w}/data.h5",
    "pretrain-recon --data {w}/data.h5 --recipe {w}/gaussian.toml --steps 5 --out {w}/start.safetensors --device cpu",
    "encode --ckpt {w}/start.safetensors --out {w}/start.h5 --device cpu",
    "fit-ot {w}/start.h5 --out {w}/map.safetensors --target-error 0.5 --device cpu",
)
"""Commands that make the inputs of the stages."""

STAGES = {
    "prepare-data": ("prepare-data digits --out {w}/out.h5", "out.h5"),
    "pretrain-recon": ("pretrain-recon --data {w}/data.h5 --recipe {w}/gaussian.toml --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-adversarial": (
        "train-adversarial --ckpt {w}/start.safetensors --recipe {w}/gaussian.toml --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-ot": ("train-ot --data {w}/data.h5 --recipe {w}/classes.toml --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-flow": ("train-flow --data {w}/data.h5 --recipe {w}/flow.toml --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-pga": (
        "train-pga --data {w}/data.h5 --variant vpga --steps {steps} --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-vae": (
        "train-vae --data {w}/data.h5 --variant wae-gan --steps {steps} --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "train-gan": (
        "train-gan --ckpt {w}/start.safetensors --ot {w}/map.safetensors --recipe {w}/gaussian.toml --out {w}/out.safetensors " + RUN,
        "out.safetensors"),
    "fit-features": ("fit-features --data {w}/data.h5 --batch 64 --steps {steps} --out {w}/out.safetensors " + RUN, "out.safetensors"),
    "encode": ("encode --ckpt {w}/start.safetensors --split all --batch 32 --out {w}/out.h5 --device cpu", "out.h5"),
    "fit-ot": (
        "fit-ot {w}/start.h5 --target-error 0.05 --max-samples 2000000 --save-minutes 0.001 --out {w}/out.safetensors --device cpu",
        "out.safetensors"),
    "sample": ("sample --ckpt {w}/start.safetensors -n 2000 --out {w}/out --device cpu", "out"),
}  # fmt: skip
"""Stage → (command, file or folder that it writes)."""


@dataclass
class Outcome:
    """kills: signal → number of kills. runs: number of completed runs. losses: sentences; there should be none."""

    kills: Counter
    runs: int
    losses: list[str]


def prepare(folder: Path, steps: int, lines: tuple[str, ...] = PREPARED) -> None:
    """Make the inputs of the stages."""
    for name, (prior, dim) in RECIPES.items():
        (folder / f"{name}.toml").write_text(RECIPE.format(prior=prior, dim=dim, steps=steps))
    for line in lines:
        subprocess.run(_words(line, folder, steps), check=True, capture_output=True, env=ENVIRONMENT)


def torture(name: str, start: Path, steps: int, kills: int, seed: int) -> Outcome:
    """Kill a stage `kills` times, at random moments of its duration. After it completes, it starts again, until all kills are done."""
    line, out = STAGES[name]
    rng, outcome = random.Random(f"{name} {seed}"), Outcome(Counter(), 0, [])
    with tempfile.TemporaryDirectory(dir=start.parent) as temporary:
        folder = Path(temporary) / "a b [c] ü"  # a path with spaces, brackets and unicode
        shutil.copytree(start, folder)
        began = time.monotonic()
        subprocess.run(_words(line, folder, steps), check=True, capture_output=True, env=ENVIRONMENT)
        duration, wanted, listing = time.monotonic() - began, read_any_header(folder / out).sha256, _listing(folder)
        _clear(folder, start)
        anew = True
        while True:
            done, began = sum(outcome.kills.values()) >= kills, time.monotonic()
            hit, code, err = _run(_words(line, folder, steps), 0 if done else rng.uniform(0.3, 1.0) * duration, rng.choice(SIGNALS))
            if hit:
                outcome.kills[hit.name] += 1
            elif anew:  # the machine may have been busier when the duration was measured
                duration = min(duration, time.monotonic() - began)
            anew = False
            found = _looked_at(folder / out, wanted, ended=code == 0)
            if code not in (0, INTERRUPTED, *(-number for number in SIGNALS)):
                found = f"exit code {code}: {err[-300:]}"
            if found:
                outcome.losses.append(found)
            if code == 0 or found:
                outcome.runs += code == 0
                differs = _listing(folder) ^ listing if code == 0 else set()
                outcome.losses += [f"other files than after the undisturbed run: {sorted(differs)}"] if differs else []
                _clear(folder, start)
                anew = True
                if done:
                    return outcome


def _words(line: str, folder: Path, steps: int) -> list[str]:
    return [sys.executable, "-m", "genrev_cli", *(word.format(w=folder, steps=steps) for word in line.split())]


def _run(words: list[str], seconds: float, number: signal.Signals) -> tuple[signal.Signals | None, int, str]:
    """Run a command and send it a signal after some seconds (0: no signal). Return the signal if it was sent, the exit code, stderr."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        _, err = process.communicate(timeout=seconds or None)
        return None, process.returncode, err
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, err = process.communicate()
        return number, process.returncode, err


def _looked_at(out: Path, wanted: str, *, ended: bool) -> str:
    """Return what is wrong with the target, or '': it must be missing, or complete and correct."""
    if not out.exists():
        return "the stage ended, but its target is missing" if ended else ""
    try:
        found = read_any_header(out).sha256
    except GenrevError as error:
        return f"half-written: {error}"
    return "" if found == wanted else "differs from the undisturbed run"


def _listing(folder: Path) -> set[str]:
    """Return all files and folders in a folder. Only a whole listing shows what libraries leave under names of their own."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _clear(folder: Path, start: Path) -> None:
    """Remove all files of the stage."""
    kept = set(os.listdir(start))
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> int:
    """Print the table. Return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", default=list(STAGES), metavar="STAGE")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options, lost = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as temporary:
        start = Path(temporary) / "start"
        start.mkdir()
        prepare(start, STEPS)
        print("| stage | SIGKILL | SIGTERM | SIGINT | completed runs | lost |\n|---|---|---|---|---|---|", flush=True)
        for name in options.stages:
            outcome = torture(name, start, STEPS, options.kills, options.seed)
            counts = " | ".join(str(outcome.kills[number.name]) for number in SIGNALS)
            print(f"| `{name}` | {counts} | {outcome.runs} | {len(outcome.losses)} |", flush=True)
            for loss in outcome.losses:
                print(f"{name}: {loss}", file=sys.stderr)
            lost += len(outcome.losses)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
