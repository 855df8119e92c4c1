"""The words of the command that is running, for the headers of what it makes."""

import shlex
import time
from contextvars import ContextVar

command_line: ContextVar[tuple[str, ...]] = ContextVar("command_line", default=())
"""Set once, by `main`."""

process_began: ContextVar[float | None] = ContextVar("process_began", default=None)
"""When the process of a command began, by the monotonic clock. Set once, by `run`."""


def command() -> str:
    """The command as one would type it; 'python' where genrev is used as a library."""
    words = command_line.get()
    return shlex.join(("genrev", *words)) if words else "python"


def since() -> float:
    """When the work under way began, by the monotonic clock: with the process of the command, else now."""
    began = process_began.get()
    return time.monotonic() if began is None else began
