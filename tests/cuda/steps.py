"""What the emulated device does in every step of a training stage."""

from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from emulator import RECORD
from emulator.record import Record

from genrev_cli.training import loop
from genrev_cli.training.batches import Batches, CodeBatches

TO_DEVICE = "cpu to cuda"

WAITS_PER_STEP = {"train-ot": 1, "matching-ot": 1, "gan-qc": 1, "flow-minibatch": 1, "flow-classes-minibatch": 1}
"""By stage or case, where it is not 0: the host solves the assignments of train-ot, --matcher ot, --loss wgan-qc and --pairs minibatch."""


@dataclass
class Step:
    """done: what the device did in it. looks: whether something was logged, measured, drawn or scored after it; None outside the loop."""

    done: Record
    looks: bool | None = None


@contextmanager
def observed(monkeypatch):
    """Yield a list which is filled with the steps of the training within the block."""
    steps, looks = [], loop.Intervals.any_due

    def close():
        if steps:
            steps[-1].done = RECORD.snapshot()

    def begins(fetch):
        def begin(self, step):
            close()
            RECORD.clear()
            steps.append(Step(Record()))
            return fetch(self, step)

        return begin

    def look(self, step, last):
        steps[-1].looks = looks(self, step, last)
        return steps[-1].looks

    with monkeypatch.context() as patch:
        for stream in (Batches, CodeBatches):
            patch.setattr(stream, "__call__", begins(stream.__call__))
        patch.setattr(loop.Intervals, "any_due", look)
        yield steps
    close()
    steps[:] = [step for step in steps if step.looks is not None]  # a first batch is taken before the loop begins


def require_budget(label, stage, steps):
    """Fail, with the line of every wait, where a step after which nothing is looked at waits more often than it may."""
    allowed = WAITS_PER_STEP.get(label, WAITS_PER_STEP.get(stage, 0))
    for number, step in enumerate(steps, start=1):
        waits = {f"{what} at {line}": count for (what, line), count in step.done.waits.items()}
        assert step.looks or sum(waits.values()) <= allowed, f"step {number} of {stage} waits for the device: {waits}"


def summary(steps):
    """Return the operators, waits and copies to the device of a step without a look, medians of those behind the first."""
    plain = [step.done for step in steps[1:] if not step.looks]
    copies = [sum(count for (way, _), count in done.copies.items() if way == TO_DEVICE) for done in plain]
    counts = [done.operators.total() for done in plain], [done.waits.total() for done in plain], copies
    return tuple(int(median(values)) for values in counts)
