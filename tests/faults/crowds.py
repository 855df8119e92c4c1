"""Run one command in many processes at once, with one output and one cold cache, and compare what they leave with a single run.

    python tests/faults/crowds.py --processes 8 [STAGE …]

Exactly one training must run, and the others must end with exit code 2 and name it. All processes of any other stage must succeed.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from alike import contents, differences
from torture import STAGES, Means, clear, fork, forked, load_torch, prepare, use_one_thread, words_of

LOCKED = ("pretrain-recon", "fit-ot", "fit-flow")
TRIED = ("prepare-data", "encode", "decode", "sample", "fid-ref", "fid", "fit-gmm", "report", "card", "search", *LOCKED)


def crowd(name: str, start: Path, steps: int, processes: int) -> list[str]:
    """Run a stage alone, then in many processes at once. Return what went wrong, one sentence each."""
    with tempfile.TemporaryDirectory(dir=start.parent) as temporary:
        folder = Path(temporary, "w")
        shutil.copytree(start, folder)
        words, kept = words_of(name, folder, steps), set(os.listdir(start))
        _, code, err = forked(words, folder / "cache", 0, signal.SIGKILL)
        assert code == 0, err
        alone = contents(folder)
        clear(folder, kept)
        ended = _at_once(words, folder / "cache", processes)
        wrong = differences(alone, contents(folder))
    codes = Counter(code for code, _ in ended)
    wanted = {0: 1, 2: processes - 1} if name in LOCKED else {0: processes}
    if codes != wanted and not (name in LOCKED and codes.keys() <= {0, 2} and codes[0]):  # one that comes late finds the result
        wrong.append(f"exit codes {dict(codes)}: {[err[-200:] for code, err in ended if code not in wanted][:2]}")
    wrong += [f"no word of the other process: {err[-200:]}" for code, err in ended if code == 2 and "is writing it" not in err]
    return [f"{name}: {sentence}" for sentence in wrong]


def _at_once(words: list[str], cache: Path, processes: int) -> list[tuple[int, str]]:
    """Fork processes of a command, and return exit code and stderr of each."""
    with contextlib.ExitStack() as stack:
        told = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(processes)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in [fork(words, cache, file) for file in told]]
        for file in told:
            file.seek(0)
        return [(code, file.read()) for code, file in zip(codes, told, strict=True)]


def main() -> int:
    """Print what went wrong. Return 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", default=list(TRIED), metavar="STAGE")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    options, found = parser.parse_args(), 0
    use_one_thread()
    load_torch()
    with tempfile.TemporaryDirectory() as temporary:
        start = Path(temporary) / "start"
        start.mkdir()
        prepare(start, options.steps, Means(forked))
        shutil.rmtree(start / "cache", ignore_errors=True)
        for name in options.stages:
            wrong = crowd(name, start, options.steps, options.processes)
            print(*wrong or [f"{name}: {options.processes} at once, nothing went wrong"], sep="\n", flush=True)
            found += len(wrong)
    return int(found > 0)


if __name__ == "__main__":
    assert set(TRIED) <= STAGES.keys()
    sys.exit(main())
