"""The command that is running: its words (stored in file headers), its start time, its number of processes and its cores."""

import os
import shlex
import time
from contextvars import ContextVar

command_line: ContextVar[tuple[str, ...]] = ContextVar("command_line", default=())
"""Set once, by `main`."""

process_began: ContextVar[float | None] = ContextVar("process_began", default=None)
"""Start time of the command's process, in seconds of the monotonic clock. Set once, by `run`."""

debugging: ContextVar[bool] = ContextVar("debugging", default=False)
"""True with --debug. Set once, by `main`; for a command that catches errors to report them."""


def command() -> str:
    """Return the command as typed in a shell, or 'python' if genrev is used as a library."""
    words = command_line.get()
    return shlex.join(("genrev", *words)) if words else "python"


def since() -> float:
    """Return the start time of the command's process, in seconds of the monotonic clock; without a command, the current time."""
    began = process_began.get()
    return time.monotonic() if began is None else began


def many_processes() -> bool:
    """Return True if torchrun started this process as one of several."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def first_process() -> bool:
    """Return True for rank 0, which prints and writes files; works before the processes have joined."""
    return os.environ.get("RANK", "0") == "0"


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
