"""Explain a step that does not fit the memory of a GPU, and find a batch that fits by trying."""

import gc
import re
from collections.abc import Iterator

import torch

from genrev_cli.errors import UnavailableError
from genrev_cli.models import MEMORY, Bijection
from genrev_cli.runs.job import Job
from genrev_cli.training import distributed
from genrev_cli.training.batches import Batches
from genrev_cli.training.method import Method

_TRIES = 6


def out_of_memory(said: str, job: Job, method: Method, batches: Batches) -> UnavailableError:
    """Return the error for a step that ran out of memory; it names a batch that fits and other cures.

    said: the text of torch's error. Trying smaller batches changes the weights, so the method must not be saved afterwards.
    """
    asked = re.search(r"allocate ([\d.]+ \w+)", said)
    more = f" ({asked[1]} more were needed)" if asked else ""
    who = f"process {distributed.rank()} of {distributed.size()}: " if distributed.size() > 1 else ""
    fits = _batch_that_fits(job, method, batches)
    cures = [f"--batch {fits} fits, as a trial shows" if fits else "no smaller batch fits either"]
    if isinstance(getattr(method, "autoencoder", None), Bijection) and job.schedule.memory == MEMORY[0]:
        cures.append("--memory reversible needs much less for the same batch, with the same result")
    return UnavailableError(
        f"{who}a step with a batch of {job.schedule.batch} does not fit the memory of {batches.device}{more}; {'; '.join(cures)}"
    )


def _batch_that_fits(job: Job, method: Method, batches: Batches) -> int:
    """Return the first of half the batch, a quarter, …, over all processes, with which a step fits in this process; 0 if none does."""
    processes = distributed.size()
    with distributed.as_single_process():
        for batch in _smaller(job, processes):
            _free(batches.device)
            rows = batch // processes * job.batches_per_step
            try:
                x, labels = (tensor[:rows] for tensor in batches(0))
                method.step(x, labels, torch.Generator(batches.device).manual_seed(0))
                return batch
            except torch.OutOfMemoryError:
                continue
    return 0


def _smaller(job: Job, processes: int) -> Iterator[int]:
    """Yield half the batch, a quarter, …, rounded down to numbers that can be split over the processes."""
    unit = processes * job.shared.get("a batch", (0, 1))[1]
    batch = job.schedule.batch
    for _ in range(_TRIES):
        batch = batch // 2 // unit * unit
        if not batch:
            return
        yield batch


def _free(device: torch.device) -> None:
    """Free the memory of the failed step."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
