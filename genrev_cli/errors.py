"""What can go wrong, as a sentence and an exit code.

A `GenrevError` is shown to the user as one line: what is wrong, where, and the cure. Everything else that
escapes is a bug of ours (exit code 1).
"""

import errno
import re


class GenrevError(Exception):
    """Base of the errors that a user can cause or cure; the message is one sentence."""

    exit_code = 1


class UsageError(GenrevError):
    """Options that are unknown, missing or contradict each other."""

    exit_code = 2


class FileError(GenrevError):
    """A file that is missing, damaged, of the wrong kind, or does not belong to the others."""

    exit_code = 3


class DivergedError(GenrevError):
    """A number that should be finite is not."""

    exit_code = 4


class UnavailableError(GenrevError):
    """A device, network weights or memory that this machine does not have."""

    exit_code = 5


class InterruptedRun(GenrevError):
    """SIGINT or SIGTERM arrived, or the time was over; the state was saved first."""

    exit_code = 130


class UnreadError(GenrevError):
    """Whoever read the result has closed its end; nobody is told, and the code is that of a program which SIGPIPE ended."""

    exit_code = 141

    def __init__(self) -> None:
        super().__init__("")


class LostProcessError(GenrevError):
    """Another process of the same run has ended, hangs or cannot be reached."""

    exit_code = 6


class ToldError(GenrevError):
    """An error of which another process of the same run tells; it has no message and keeps its exit code."""

    def __init__(self, error: GenrevError) -> None:
        super().__init__("")
        self.exit_code = error.exit_code


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, in Python's, NumPy's, torch's, CUDA's or the operating system's words."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = isinstance(error, RuntimeError) and re.search("out of memory|[Cc]an(no|')t allocate memory|not enough memory", str(error))
    return isinstance(error, MemoryError) or bool(said)
