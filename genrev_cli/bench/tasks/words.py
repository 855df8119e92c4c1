"""Command lines of the programs that race, and what they read and print. It imports only the standard library, so that they start fast."""

import json
import sys
from typing import Any


def genrev(*words: object) -> tuple[str, ...]:
    """Return the command line of a genrev command."""
    return (sys.executable, "-m", "genrev_cli", *map(str, words))


def program(name: str, **arguments: Any) -> tuple[str, ...]:
    """Return the command line of a program in this folder. It gets its arguments as one JSON object."""
    return (sys.executable, "-m", f"genrev_cli.bench.tasks.{name}", json.dumps(arguments, default=str))


def arguments() -> dict[str, Any]:
    """Return the arguments that `program` passed to this process."""
    return json.loads(sys.argv[1])


def answer(stdout: str) -> dict[str, Any]:
    """Return the JSON object in the last line of a program's stdout."""
    return json.loads(stdout.strip().splitlines()[-1])
