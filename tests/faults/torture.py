"""Kill every stage at random moments, run it again, and compare all that it leaves with an undisturbed run.

    python tests/faults/torture.py --kills 20 [--forked] [STAGE …]

prints a table: stage, kills by signal, completed runs, losses. With --forked, each run is a fork of a process that has loaded torch. Then
kills meet only the work itself, not the imports, which take most of the time of such small runs.
"""

import argparse
import contextlib
import importlib
import os
import pkgutil
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from alike import contents, differences
from torture_stages import PREPARED, STAGES, write_recipes

from genrev_cli.errors import GenrevError
from genrev_cli.files.any import read_any_header

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
INTERRUPTED = 130
STEPS = 200  # some seconds

Ended = tuple[signal.Signals | None, int, str]
"""The signal that a run was sent, if it was sent one; its exit code; its stderr."""


@dataclass
class Outcome:
    """kills: signal → number of kills. runs: number of completed runs. losses: sentences; there should be none."""

    kills: Counter
    runs: int
    losses: list[str]


@dataclass(frozen=True)
class Means:
    """How to kill. run: (words of a command, folder of its cache, seconds until the signal or 0, the signal) → how it ended."""

    run: Callable[[Sequence[str], Path, float, signal.Signals], Ended]
    signals: Sequence[signal.Signals] = SIGNALS
    earliest: float = 0.3  # share of a run's duration before which no signal is sent: the imports


def prepare(folder: Path, steps: int, means: Means, lines: tuple[str, ...] = PREPARED) -> None:
    """Make the inputs of the stages."""
    write_recipes(folder, steps)
    for line in lines:
        _, code, err = means.run(_words(line, folder, steps), folder / "cache", 0, signal.SIGKILL)
        assert code == 0, f"{line}: {err}"


def torture(name: str, start: Path, *, steps: int, kills: int, seed: int, means: Means) -> Outcome:
    """Kill a stage `kills` times, at random moments of its duration. After each kill it goes on, to its end or to the next kill.

    After it has ended, everything in its folder is compared, and it starts again, until all kills are done.
    """
    _, out = STAGES[name]
    rng, outcome = random.Random(f"{name} {seed}"), Outcome(Counter(), 0, [])
    with tempfile.TemporaryDirectory(dir=start.parent) as temporary:
        folder = Path(temporary) / "a b [c] ü"  # a path with spaces, brackets and unicode
        shutil.copytree(start, folder)
        write_recipes(folder, steps)
        words, cache, kept = words_of(name, folder, steps), folder / "cache", set(os.listdir(start))
        began = time.monotonic()
        _, code, err = means.run(words, cache, 0, signal.SIGKILL)
        if code:
            return Outcome(Counter(), 0, [f"the undisturbed run ended with exit code {code}: {err[-300:]}"])
        duration, wanted, digest = time.monotonic() - began, contents(folder), _digest(folder / out)
        clear(folder, kept)
        fresh = True
        while outcome.kills.total() < kills or not fresh:
            again, began = outcome.kills.total() < kills and (fresh or rng.random() < 0.4), time.monotonic()
            seconds = rng.uniform(means.earliest, 1.0) * duration if again else 0
            hit, code, err = means.run(words, cache, seconds, rng.choice(means.signals))
            outcome.kills.update([hit.name] if hit else [])
            if fresh and not hit:  # the machine may have been busier when the duration was measured
                duration = min(duration, time.monotonic() - began)
            fresh = False
            found = _looked_at(folder / out, digest, ended=code == 0)
            if code not in (0, INTERRUPTED, *(-number for number in SIGNALS)):
                found = f"exit code {code}: {err[-300:]}"
            if code == 0 or found:
                outcome.runs += code == 0
                outcome.losses += [found] if found else differences(wanted, contents(folder))
                clear(folder, kept)
                fresh = True
    return outcome


def words_of(name: str, folder: Path, steps: int) -> list[str]:
    """Return the words of a stage's command."""
    return _words(STAGES[name][0], folder, steps)


def _words(line: str, folder: Path, steps: int) -> list[str]:
    return [word.format(w=folder, steps=steps) for word in line.split()]


def started(words: Sequence[str], cache: Path, seconds: float, number: signal.Signals) -> Ended:
    """Run a command in a new process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GENREV_CACHE": str(cache)}  # waiting threads would slow down other work
    process = subprocess.Popen(
        [sys.executable, "-m", "genrev_cli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        _, err = process.communicate(timeout=seconds or None)
        return None, process.returncode, err
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, err = process.communicate()
        return number, process.returncode, err


def use_one_thread() -> None:
    """Start this program anew with one thread, unless it has one: a fork has no other thread of its parent, and would wait for it."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})


def load_torch() -> None:
    """Load what commands need, before any fork."""
    import optuna  # noqa: F401
    import sklearn.datasets  # noqa: F401

    import genrev_cli.cli.commands
    import genrev_cli.stages

    for module in pkgutil.iter_modules(genrev_cli.stages.__path__):
        importlib.import_module(f"genrev_cli.stages.{module.name}")


def forked(words: Sequence[str], cache: Path, seconds: float, number: signal.Signals) -> Ended:
    """Run a command in a fork of this process, which must have loaded torch and not used it."""
    with tempfile.TemporaryFile("w+") as told:
        process, ends, hit = fork(words, cache, told), time.monotonic() + seconds, None
        while (found := os.waitpid(process, os.WNOHANG if seconds and hit is None else 0))[0] == 0:
            if time.monotonic() >= ends:
                os.kill(process, number)
                hit = number
            else:
                time.sleep(0.001)
        told.seek(0)
        return hit, os.waitstatus_to_exitcode(found[1]), told.read()


def fork(words: Sequence[str], cache: Path, stderr: IO[str]) -> int:
    """Start a command in a fork, and return its process number."""
    process = os.fork()
    if not process:
        _be_command(words, cache, stderr.fileno())
    return process


def _be_command(words: Sequence[str], cache: Path, stderr: int) -> None:
    """Run the command, and end the process."""
    code = 1
    try:
        os.environ["GENREV_CACHE"] = str(cache)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(stderr, 2)
        from genrev_cli.cli import main as command

        code = command(list(words))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _digest(path: Path) -> str:
    return path.name if path.suffix in (".html", ".md", ".json") else read_any_header(path).sha256  # these have times


def _looked_at(out: Path, wanted: str, *, ended: bool) -> str:
    """Return what is wrong with the target, or '': it must be missing, or complete and correct."""
    if not out.exists():
        return "the stage ended, but its target is missing" if ended else ""
    try:
        if out.suffix in (".html", ".json"):
            read_any_header(out)
        found = _digest(out)
    except GenrevError as error:
        return f"half-written: {error}"
    return "" if found == wanted else "differs from the undisturbed run"


def clear(folder: Path, kept: set[str]) -> None:
    """Remove all files of the stage."""
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> int:
    """Print the table. Return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", default=list(STAGES), metavar="STAGE")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forked", action="store_true", help="SIGKILL only, and only during the work")
    options, lost = parser.parse_args(), 0
    if options.forked:
        use_one_thread()
    with tempfile.TemporaryDirectory() as temporary:
        start = Path(temporary) / "start"
        start.mkdir()
        means = Means(started)
        if options.forked:
            load_torch()
            means = Means(forked, [signal.SIGKILL], 0.0)
        prepare(start, options.steps, means)
        print("| stage | SIGKILL | SIGTERM | SIGINT | completed runs | lost |\n|---|---|---|---|---|---|", flush=True)
        for name in options.stages:
            outcome = torture(name, start, steps=options.steps, kills=options.kills, seed=options.seed, means=means)
            counts = " | ".join(str(outcome.kills[number.name]) for number in SIGNALS)
            print(f"| `{name}` | {counts} | {outcome.runs} | {len(outcome.losses)} |", flush=True)
            for loss in outcome.losses:
                print(f"{name}: {loss}", file=sys.stderr, flush=True)
            lost += len(outcome.losses)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
