"""Print to stderr. Whatever fails there is ignored: a run goes on when nobody reads its messages."""

import os
import shutil
import sys
from contextlib import suppress

WIDTH = 100
"""Columns where stderr is no terminal and $COLUMNS is not set."""


def visible(text: str) -> str:
    r"""Return `text` with unprintable characters escaped as in Python: line ends \n, escape sequences \x1b, undecodable bytes \udcff."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class _Stderr:
    """stderr without its errors."""

    def __getattr__(self, name: str) -> object:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


STDERR = _Stderr()


def tell(text: str = "") -> None:
    """Print a line for the user."""
    print(visible(text), file=STDERR, flush=True)


def columns() -> int:
    """Return the width of the terminal of stderr: $COLUMNS, else what the terminal says, else WIDTH."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or WIDTH
    return shutil.get_terminal_size((WIDTH, 24)).columns
