"""A command where torchrun started many processes of it."""

from collections.abc import Callable, Sequence

from genrev_cli.invocation import first_process
from genrev_cli.training.distributed import joined

SHARED = frozenset(
    {"pretrain-recon", "train-adversarial", "train-ot", "train-pga", "train-vae", "train-flow", "train-gan", "fit-features"}
    | {"encode", "fit-ot", "sample", "fid"}
)
"""The commands whose work processes share. Of any other the first process does all, and the rest have nothing to do."""


def run_among(words: Sequence[str], command: Callable[[], object], *, patience: float, tell: Callable[[str], None]) -> object:
    """Run a command of these words together with the other processes and return what it returns. patience, tell, Raises: as `joined`."""
    shared = next((word for word in words if not word.startswith("-")), "") in SHARED
    if shared and not {"--help", "-h"} & set(words):
        with joined(patience, tell):
            return command()
    return command() if first_process() else 0
