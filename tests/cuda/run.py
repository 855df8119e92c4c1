"""Run tests on the emulated CUDA device: python tests/cuda/run.py [words for pytest]. Without words, every test that is marked 'cuda'.

It builds the device if need be, checks that it works with the installed torch, and starts pytest on it. Exit codes: pytest's; 8 where the
device cannot be built, 9 where it does not work with this torch (neither says anything about genrev).

    python tests/cuda/run.py --self-check     only builds and checks
"""

import os
import subprocess
import sys
from pathlib import Path

import build

CANNOT_BUILD, DOES_NOT_WORK = 8, 9

ROOT = Path(__file__).parents[2]
ALL = ["-m", "cuda", "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]


def environment(devices: int = 1) -> dict[str, str]:
    """Return the environment in which a process of Python finds an emulated device, once it has called emulator.start()."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "LD_PRELOAD": str(build.RUNTIME),
        "LD_LIBRARY_PATH": str(build.DRIVER.parent),
        "PYTHONPATH": os.pathsep.join(paths),
        "EMULATED_GPUS": str(devices),
    }


def self_check() -> str:
    """Return why the device does not work with the installed torch, or nothing. After a crash it is tried once again."""
    command = [sys.executable, "-X", "faulthandler", "-m", "emulator.selfcheck"]
    for _ in range(2):
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
        if done.returncode == 0:
            return ""
        if done.returncode > 0:
            break
    import torch

    lines = done.stderr.strip().splitlines() or ["no message"]
    reason = f"signal {-done.returncode}, {lines[0]}" if done.returncode < 0 else lines[-1]
    return f"the emulated device does not work with torch {torch.__version__}: {reason}; this says nothing about genrev"


def main(words: list[str]) -> int:
    """Return the exit code."""
    try:
        build.build()
    except build.CannotBuildError as error:
        print(f"no emulated CUDA device: {error}", file=sys.stderr)
        return CANNOT_BUILD
    if reason := self_check():
        print(reason, file=sys.stderr)
        return DOES_NOT_WORK
    if words == ["--self-check"]:
        return 0
    command = [sys.executable, "-m", "pytest", "-p", "emulator.plugin", *(words or ALL)]
    return subprocess.run(command, env=environment(), check=False, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
