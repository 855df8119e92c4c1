"""The words of the command that is running, for the headers of what it makes."""

import shlex
from contextvars import ContextVar

command_line: ContextVar[tuple[str, ...]] = ContextVar("command_line", default=())
"""Set once, by `main`."""


def command() -> str:
    """The command as one would type it; 'python' where genrev is used as a library."""
    words = command_line.get()
    return shlex.join(("genrev", *words)) if words else "python"
