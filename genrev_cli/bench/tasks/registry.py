"""The tasks of `genrev bench task`."""

from collections.abc import Callable

import torch

from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks.autoencoders import autoencoders
from genrev_cli.bench.tasks.fid import fid
from genrev_cli.bench.tasks.invertible import invertible
from genrev_cli.bench.tasks.minibatch import minibatch
from genrev_cli.bench.tasks.pictures import pictures
from genrev_cli.bench.tasks.sampling import sampling
from genrev_cli.bench.tasks.transport import transport
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions

TASKS: dict[str, Callable[[BenchOptions, torch.device, Progress], list[Table]]] = {
    "fid": fid,
    "pictures": pictures,
    "sampling": sampling,
    "minibatch": minibatch,
    "transport": transport,
    "invertible": invertible,
    "autoencoders": autoencoders,
}
"""Name of a task → the function that measures it, in the order in which they run."""
