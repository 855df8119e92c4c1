"""Train every stage for thousands of steps, with frequent logs, measurements, pictures, scores and saves, and measure its memory.

    python tests/faults/soak.py --steps 5000 [STAGE …]

prints a table: stage, location of the images, steps, resident memory after 1,000 steps and at the end, growth, peak, files.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torture import Means, prepare, started
from torture_stages import PREPARED

from genrev_cli.errors import GenrevError
from genrev_cli.files.checkpoint import read_checkpoint_header

LOOKS = "--device cpu --log-every 5 --monitor-every 20 --preview-every 20 --save-minutes 0.05 --out {w}/out.safetensors --steps {steps}"
SCORES = " --eval-every 100 --eval-n 64 --eval-features pixel"
PLACES = {"in memory": " --resident-megabytes 4096", "streamed": " --resident-megabytes 0"}

STAGES = {
    "pretrain-recon": "--data {w}/data.h5 --recipe {w}/gaussian.toml " + LOOKS,
    "train-adversarial": "--ckpt {w}/start.safetensors --recipe {w}/gaussian.toml " + LOOKS + SCORES,
    "train-ot": "--data {w}/data.h5 --recipe {w}/classes.toml " + LOOKS + SCORES,
    "train-flow": "--data {w}/data.h5 --recipe {w}/flow.toml " + LOOKS,
    "train-pga": "--data {w}/data.h5 --variant vpga " + LOOKS,
    "train-vae": "--data {w}/data.h5 --variant wae-gan " + LOOKS,
    "train-gan": "--ckpt {w}/start.safetensors --ot {w}/map.safetensors --recipe {w}/gaussian.toml " + LOOKS + SCORES,
    "fit-features": "--data {w}/data.h5 " + LOOKS,
    "fit-ot": "{w}/start.h5 --target-error 0.001 --max-samples {samples} --save-minutes 0.001 --out {w}/out.safetensors --device cpu",
}  # fmt: skip
"""Stage → its arguments."""

FIT_BATCH = 250  # samples per step of fit-ot for the small number of codes here


@dataclass
class Watched:
    """resident: (step, megabytes) during the run. peak: megabytes. files, disk: number and megabytes of the files that the run wrote."""

    resident: list[tuple[int, float]] = field(default_factory=list)
    peak: float = 0.0
    files: int = 0
    disk: float = 0.0

    def around(self, first: float, last: float) -> float:
        """Return the median memory between two steps, else the last one before. Single values may include a batch, a picture or a score."""
        before = [size for step, size in self.resident if step <= last]
        return statistics.median([size for step, size in self.resident if first <= step <= last] or before[-1:])


def watch(name: str, start: Path, steps: int, place: str = "") -> Watched:
    """Run a stage in a folder beside `start` and measure its memory ten times a second."""
    with tempfile.TemporaryDirectory(dir=start.parent) as temporary:
        folder, found = Path(temporary), Watched()
        for file in start.iterdir():
            (folder / file.name).symlink_to(file)
        before = set(folder.iterdir())
        line = STAGES[name] + ("" if name == "fit-ot" else PLACES.get(place, ""))
        words = [word.format(w=folder, steps=steps, samples=steps * FIT_BATCH) for word in line.split()]
        run = folder / "out.safetensors.run"
        step_of = _samples_of(run / "state.safetensors") if name == "fit-ot" else _steps_of(run / "log.jsonl")
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "genrev_cli", name, *words],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            while process.poll() is None:
                sizes = _memory(process.pid)
                if sizes:
                    found.resident.append((step_of(), sizes[0]))
                    found.peak = max(found.peak, sizes[1])
                time.sleep(0.1)
            errors.seek(0)
            if process.returncode:
                raise SystemExit(f"{name}: exit code {process.returncode}: {errors.read().decode()[-500:]}")
        made = [file for top in set(folder.iterdir()) - before for file in [top, *top.rglob("*")] if file.is_file()]
        found.files, found.disk = len(made), sum(file.stat().st_size for file in made) / 1e6
        return found


def _memory(pid: int) -> tuple[float, float] | None:
    """Return resident memory and its peak in megabytes; None if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1000 * 1.024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return (sizes["VmRSS"], sizes["VmHWM"]) if len(sizes) == 2 else None


def _steps_of(log: Path) -> Callable[[], int]:
    def step() -> int:
        if not log.exists():
            return -1
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            for line in reversed(file.read().splitlines()):
                try:
                    return json.loads(line)["step"]
                except ValueError:  # an incomplete line
                    continue
        return -1

    return step


def _samples_of(state: Path) -> Callable[[], int]:
    def step() -> int:
        try:
            return read_checkpoint_header(state).step // FIT_BATCH
        except GenrevError:
            return -1

    return step


def row(name: str, place: str, steps: int, found: Watched) -> str:
    """Return a line of the table."""
    early = min(1000, steps // 2)
    first, last = found.around(early, 1.3 * early), found.around(0.9 * steps, steps - 1)  # after the last step, the stage does other work
    growth = f"{last - first:+.1f} MB ({100 * (last / first - 1):+.1f} %)"
    return (
        f"| `{name}` | {place} | {steps:,} | {first:.0f} MB | {last:.0f} MB | {growth} | {found.peak:.0f} MB | "
        f"{found.files}, {found.disk:.1f} MB |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", default=list(STAGES), metavar="STAGE")
    parser.add_argument("--steps", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        start = Path(temporary) / "start"
        start.mkdir()
        prepare(start, options.steps, Means(started), PREPARED)
        print("| stage | images | steps | after 1,000 | at the end | growth | peak | on the disk |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for name in options.stages:
            for place in ["–"] if name == "fit-ot" else PLACES:
                print(row(name, place, options.steps, watch(name, start, options.steps, place)), flush=True)


if __name__ == "__main__":
    main()
