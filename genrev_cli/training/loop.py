"""The training loop. Each step is a pure function of (seed, step), so 10 steps equal 5, a kill, a resume and 5, to the bit on the CPU."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from genrev_cli.errors import DivergedError, InterruptedRun
from genrev_cli.progress import Task
from genrev_cli.seeds import derive
from genrev_cli.shapes import Scalar
from genrev_cli.training import distributed
from genrev_cli.training.batches import Stream
from genrev_cli.training.ema import EMA
from genrev_cli.training.guard import WATCHED, require_inverse, require_small_weights
from genrev_cli.training.method import Method
from genrev_cli.training.peers import waiting


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Seed the global generators within the block. Only the initialisers of layers use them, because they take no generator."""
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_initialized() else []):
        torch.manual_seed(derive(seed, purpose))
        yield


class Stop:
    """Decides when a run stops: between two steps, after SIGINT or SIGTERM or shortly before a time limit.

    minutes: the time limit; 0 means no limit. since: start of the limit on the monotonic clock; None means now.
    The run stops early enough for the process to exit within the limit. Time is reserved for the longest step so far (with what is measured
    and drawn after it), for a save as long as the last one, and for the exit (EXIT_SECONDS).
    """

    EXIT_SECONDS = 5.0  # Python unloads torch: 2 s on a busy machine

    def __init__(self, minutes: float = 0.0, since: float | None = None) -> None:
        began = time.monotonic() if since is None else since
        self._signalled, self._end = False, began + 60 * (minutes or math.inf)
        self._saving: float | None = None
        self._asked, self._longest = math.inf, 0.0

    @property
    def requested(self) -> bool:
        """True if the run has to stop now. It is read after every step, and the time between two reads is measured."""
        now = time.monotonic()
        self._asked, self._longest = now, max(self._longest, now - self._asked)
        return self._signalled or now + self._longest + (self._saving or 0.0) + self.EXIT_SECONDS >= self._end

    @property
    def unsure(self) -> bool:
        """True if a time limit is set but no save has been timed yet."""
        return self._saving is None and self._end < math.inf

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure how long a save of the state takes: put it into the block."""
        began = time.monotonic()
        yield
        self._saving = time.monotonic() - began
        self._asked += self._saving  # the save does not count as a part of the step

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Handle SIGINT and SIGTERM within the block; a second signal ends the process at once."""

        def handle(number: int, frame: object) -> None:
            self._signalled = True
            signal.signal(number, before[signal.Signals(number)])
            signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        wakeup = signal.set_wakeup_fd(-1)  # under torchrun a thread would see the first signal too, and end the process
        for number in before:
            signal.signal(number, handle)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)


@dataclass(frozen=True)
class Intervals:
    """Numbers of steps between two calls of each hook. They do not change the weights."""

    log: int
    monitor: int
    preview: int
    evaluate: int = 0  # never

    def any_due(self, step: int, last: int) -> bool:
        """Return True if at least one hook is due after `step`."""
        return any(due(step, every, last) for every in (self.log, self.monitor, self.preview, self.evaluate))


def due(step: int, every: int, last: int) -> bool:
    """Return True every `every` steps and at the last one; 0 means never."""
    return bool(every) and (step % every == 0 or step == last)


def _nothing(*_: object) -> None:
    """Do nothing, as all ranks but rank 0 do for most hooks."""


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Functions that the loop calls between steps. `log` gets the means since its last call; `save` writes the state to resume from."""

    log: Callable[[int, dict[str, float]], None] = _nothing
    monitor: Callable[[int], None] = _nothing
    preview: Callable[[int], None] = _nothing
    evaluate: Callable[[int], None] = _nothing
    save: Callable[[int], None] = _nothing


class Window:
    """The scalars of the steps since the last report. They stay on the device, because each read makes the host wait for it."""

    def __init__(self, precision: str) -> None:
        self._precision = precision
        self._rows: list[dict[str, Scalar]] = []
        self._since = time.perf_counter()

    def add(self, scalars: dict[str, Scalar]) -> None:
        """Add the scalars of one step."""
        self._rows.append(scalars)

    def restart_clock(self) -> None:
        """Start to measure the speed anew, after work that is not training."""
        self._since = time.perf_counter()

    def read(self, step: int) -> tuple[dict[str, float], int, float]:
        """Return means over the window and over ranks, its length in steps, and its length in seconds; then empty the window.

        Numbers in WATCHED are not averaged: the largest is returned. step: the number of steps done.
        Raises DivergedError that names the first term and step that are not finite, and like `require_inverse`.
        """
        names = list(dict.fromkeys(name for row in self._rows for name in row))  # some terms start at a later step
        counts = [sum(name in row for row in self._rows) for name in names]
        absent = next(iter(self._rows[0].values())).new_zeros(()).float()
        table = torch.stack([torch.stack([row[name].float() if name in row else absent for name in names]) for row in self._rows])
        worst = distributed.largest(table.amax(0))
        (table,) = distributed.average([table])
        with waiting():
            values = table.double().cpu()
        if not values.isfinite().all():
            row, column = (~values.isfinite()).nonzero()[0].tolist()
            bad_step = step - len(self._rows) + row + 1
            raise DivergedError(
                f"{names[column]} is {values[row, column].item()} at step {bad_step}; "
                "what was saved before is unchanged; try a lower learning rate, with --restart"
            )
        steps, now = len(self._rows), time.perf_counter()
        seconds, self._since, self._rows = now - self._since, now, []
        means = {name: total / count for name, total, count in zip(names, values.sum(0).tolist(), counts, strict=True)}
        numbers = means | {name: value for name, value in zip(names, worst.tolist(), strict=True) if name in WATCHED}
        require_inverse(numbers, step, self._precision)
        return numbers, steps, seconds


def _report(window: Window, step: int, batch: int, hooks: Hooks) -> dict[str, float]:
    """Read the window, report it to the log, and return its numbers."""
    means, count, seconds = window.read(step)
    numbers = {**means, "images_per_second": count * batch / seconds}
    hooks.log(step, numbers)
    return numbers


def _marks_wait(first: bool, device: torch.device) -> AbstractContextManager[None]:
    """Return the context that marks a step as a wait for its device.

    A step on a GPU only launches work, so it takes long only when the device hangs. The first step is not marked: it may compile.
    """
    return waiting() if device.type == "cuda" and not first else nullcontext()


def train(
    method: Method,
    batches: Stream,
    ema: EMA | None,
    *,
    seed: int,
    start: int,
    steps: int,
    intervals: Intervals,
    rate: Callable[[int], float],
    precision: str,
    save_seconds: float,
    stop: Stop,
    hooks: Hooks,
    bar: Task,
) -> None:
    """Make steps start + 1 … steps. rate: step → factor of the learning rates. precision: that of the networks, for the guard.

    Raises DivergedError when a report finds a scalar that is not finite or an absurd weight, before anything is saved; InterruptedRun
    when `stop` asks for it, after a save.
    """
    window, saved = Window(precision), time.monotonic()
    generator = torch.Generator(batches.device)
    with stop.listening():
        for step in range(start + 1, steps + 1):
            x, labels = batches(step - 1)
            for optimizer in method.optimizers.values():
                optimizer.scale(rate(step))
            method.begin(step)
            generator.manual_seed(derive(seed, "step", step))
            with distributed.explained(), _marks_wait(step == start + 1, batches.device):
                scalars = method.step(x, labels, generator)
            window.add({**scalars, **method.watched()})
            if ema:
                ema.update(method.model, batches.batch)

            # Read the window before anything is measured or drawn, so that the error names a term that is not finite first.
            due_now = intervals.any_due(step, steps)
            interrupted = distributed.any_rank(stop.requested)
            late = due_now and distributed.any_rank(time.monotonic() - saved > save_seconds)
            numbers = _report(window, step, batches.batch, hooks) if due_now or interrupted else {}
            if numbers:
                require_small_weights(method.modules.values(), step)
            bar.advance(1, **numbers)
            for every, hook in (
                (intervals.monitor, hooks.monitor), (intervals.preview, hooks.preview), (intervals.evaluate, hooks.evaluate),
            ):  # fmt: skip
                if due(step, every, steps):
                    hook(step)
            if late or interrupted or step == steps or (due_now and stop.unsure):
                with stop.saving():
                    hooks.save(step)
                saved = time.monotonic()
                interrupted = distributed.any_rank(stop.requested)  # the time may not suffice for another save
            if due_now:
                window.restart_clock()
            if interrupted and step < steps:
                raise InterruptedRun(f"stopped after step {step} of {steps}; the state is saved, and the same command goes on from there")
