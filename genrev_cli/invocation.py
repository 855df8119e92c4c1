"""The command that is running: its words, for the headers of what it makes; its beginning; whether it runs in many processes."""

import os
import shlex
import time
from contextvars import ContextVar

command_line: ContextVar[tuple[str, ...]] = ContextVar("command_line", default=())
"""Set once, by `main`."""

process_began: ContextVar[float | None] = ContextVar("process_began", default=None)
"""When the process of a command began, by the monotonic clock. Set once, by `run`."""

debugging: ContextVar[bool] = ContextVar("debugging", default=False)
"""True with --debug. Set once, by `main`; for a command that catches errors to report them."""


def command() -> str:
    """The command as one would type it; 'python' where genrev is used as a library."""
    words = command_line.get()
    return shlex.join(("genrev", *words)) if words else "python"


def since() -> float:
    """When the work under way began, by the monotonic clock: with the process of the command, else now."""
    began = process_began.get()
    return time.monotonic() if began is None else began


def many_processes() -> bool:
    """Whether torchrun started this process as one of many."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def first_process() -> bool:
    """Whether this is the one that speaks and writes; also known before they have joined."""
    return os.environ.get("RANK", "0") == "0"
