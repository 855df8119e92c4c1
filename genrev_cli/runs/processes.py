"""Run a command under torchrun, in many processes."""

from collections.abc import Callable, Sequence

from genrev_cli.invocation import first_process
from genrev_cli.settings.commands import all_commands
from genrev_cli.training.distributed import joined


def run_among(words: Sequence[str], command: Callable[[], object], *, patience: float, tell: Callable[[str], None]) -> object:
    """Run the command of a command line together with the other processes, and return what it returns.

    words: the command line. patience, tell, Raises: see `joined`.
    """
    found = all_commands().get(next((word for word in words if not word.startswith("-")), ""))
    if found and found.shared and not {"--help", "-h"} & set(words):
        with joined(patience, tell):
            return command()
    return command() if first_process() else 0
