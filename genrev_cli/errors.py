"""The errors that a user can cause, each with its exit code.

A `GenrevError` is shown to the user as one line: where, what is wrong, and how to fix it. Any other exception that reaches the user is
a bug in genrev (exit code 1).
"""

import errno
import re


class GenrevError(Exception):
    """Base class of the errors that a user can cause or fix; the message is one sentence."""

    exit_code = 1


class UsageError(GenrevError):
    """An option is unknown, missing, or contradicts another one."""

    exit_code = 2


class SettingError(UsageError):
    """A setting has a value that is not allowed. key: its name. value: as it is shown; '' if the complaint says it.

    flag: its option, '' if it has none. The same mistake is told in two ways: as that of an option, or as that of a recipe's table.
    """

    def __init__(self, key: str, value: object, complaint: str, *, flag: str = "") -> None:
        self.key, self.value, self.complaint = key, str(value), complaint
        super().__init__(self.of_option(flag) if flag else self.of_table())

    def of_option(self, flag: str) -> str:
        """Return the sentence for a value that an option gave."""
        return f"{flag} {self.value}".rstrip() + f": {self.complaint}"

    def of_table(self) -> str:
        """Return the sentence for a value from a table."""
        return f"{self.key} = {self.value}; {self.complaint}" if self.value else f"{self.key}: {self.complaint}"


class FileError(GenrevError):
    """A file is missing, damaged, of the wrong kind, or does not belong to the other files."""

    exit_code = 3


class DivergedError(GenrevError):
    """A number that should be finite is not."""

    exit_code = 4


class UnavailableError(GenrevError):
    """This machine lacks a device, network weights, a network connection or memory."""

    exit_code = 5


class InterruptedRun(GenrevError):
    """SIGINT or SIGTERM arrived, or the time limit was reached; the state is saved."""

    exit_code = 130


class UnreadError(GenrevError):
    """The reader of stdout has gone (broken pipe); it has no message, and the exit code is that of a program ended by SIGPIPE."""

    exit_code = 141

    def __init__(self) -> None:
        super().__init__("")


class LostProcessError(GenrevError):
    """Another process of the same run has ended, hangs or cannot be reached."""

    exit_code = 6


class ToldError(GenrevError):
    """An error that another process of the same run reports; it has no message and the same exit code as that error."""

    def __init__(self, error: GenrevError) -> None:
        super().__init__("")
        self.exit_code = error.exit_code


def lacks_memory(error: BaseException) -> bool:
    """Return True if an error of Python, NumPy, torch, CUDA or the operating system says that memory ran out."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # 'failed to map segment' is said of a library, 'could not create a primitive' by oneDNN. A new thread needs memory for its stack.
    words = (
        "out of memory|[Cc]an(no|')t allocate memory|not enough memory|failed to map segment|can't start new thread"
        "|could not (create|execute) a (primitive(?! desc)|memory)"
    )
    match = isinstance(error, RuntimeError | ImportError) and re.search(words, str(error))
    return isinstance(error, MemoryError) or bool(match)
