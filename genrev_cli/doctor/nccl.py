"""Check that the GPUs of this machine can communicate."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import genrev_cli
from genrev_cli.doctor.finding import Outcome, skipped, verdict
from genrev_cli.doctor.subject import Subject

LIMIT = 60.0
"""Time limit in seconds for all processes together."""


def nccl(subject: Subject) -> Outcome:
    """Sum over one process per visible GPU, and check the sum."""
    if not torch.distributed.is_nccl_available():
        return skipped("this build of torch has no NCCL")
    count = torch.cuda.device_count()
    wrong, speeds = summed("cpu:gloo,cuda:nccl", [f"cuda:{i}" for i in range(count)], subject.scratch, LIMIT)
    numbers = {"devices": count, "gb_per_second": speeds}
    group = f"{count} GPU{'s' * (count > 1)}"
    if wrong:
        return verdict(False, f"{group}: {wrong}", numbers)
    return verdict(True, f"{group}: sums are correct, at {min(speeds):.1f} GB/s per process", numbers)


def summed(backend: str, devices: list[str], scratch: Path, limit: float) -> tuple[str, list[float]]:
    """Sum over one process per device. Return the error, '' if there is none, and the GB/s that each process measured.

    Processes that have not ended after `limit` seconds are killed.
    """
    meeting = scratch / f"meeting-{time.monotonic_ns()}"
    began, processes = time.monotonic(), []
    try:
        for rank, device in enumerate(devices):
            words = [backend, device, str(rank), str(len(devices)), str(meeting), str(limit)]
            processes.append(_started(words))
        ended = [_ended(process, max(began + limit - time.monotonic(), 0.1)) for process in processes]
    finally:
        for process in processes:
            process.kill()  # no effect on a process that has ended
            process.communicate()
    for rank, (code, out, err) in enumerate(ended):
        if code is None:
            return f"process {rank} has not ended within {limit:g} s", []
        if code:
            last = (err.strip() or out.strip() or f"exit code {code}").splitlines()[-1]
            return f"process {rank}: {last}", []
    return "", [float(out.split()[-1]) for _, out, _ in ended]


def _started(words: list[str]) -> subprocess.Popen:
    """Start one process of the group."""
    above = [str(Path(genrev_cli.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, above)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "genrev_cli.doctor.all_reduce", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _ended(process: subprocess.Popen, seconds: float) -> tuple[int | None, Any, Any]:
    """Return exit code, stdout and stderr of a process; the code is None if it has not ended in time."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None, "", ""
    return process.returncode, out, err
