"""Steps of exact mini-batch transport with gradients: POT's emd2 on torch tensors, and genrev's loss."""

import torch

from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks.race import TARGET, Side, race
from genrev_cli.bench.tasks.words import answer, program
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions

STEPS = 50
POINTS, DIMS = 650, 1024


def minibatch(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Move 650 points in 1,024 dimensions to samples of N(0, I) by 50 steps of gradient descent on the transport loss."""
    steps, n, d = (3, 32, 16) if options.quick else (STEPS, POINTS, DIMS)
    task = {"steps": steps, "n": n, "d": d, "device": device}
    sides = [
        Side("POT emd2", program("program_minibatch", side="pot", **task), answer, needs={"ot": "POT"}),
        Side("genrev", program("program_minibatch", side="genrev", **task), answer, target=TARGET),
    ]
    notes = [
        "loss: transport cost of the last step, ‖x − s‖ per point; the same points, samples and rate on both sides",
        "cpu_of_steps: without the start of Python and its imports, which a long training does not feel",
    ]
    return [
        race(f"{steps} steps of transport between {n} points in {d} dimensions on {device.type}", sides, options, progress, notes=notes)
    ]
