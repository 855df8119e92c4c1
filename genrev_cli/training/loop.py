"""The one loop. Every step is a pure function of (seed, step), so 10 steps == 5 + kill + resume + 5, to the bit on the CPU."""

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
from genrev_cli.training.batches import Batches
from genrev_cli.training.ema import EMA
from genrev_cli.training.guard import WATCHED, require_inverse
from genrev_cli.training.method import Method
from genrev_cli.training.peers import waiting


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """The global generators seeded for a block: for the initialisers of layers, which take no generator. Nothing else uses them."""
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_initialized() else []):
        torch.manual_seed(derive(seed, purpose))
        yield


class Stop:
    """Turns SIGINT, SIGTERM and the end of the time that a run may take into a wish to stop, granted between two steps.

    minutes: 0 is without end. since: of the monotonic clock, when they began; None is now.
    Kept back of them is what the last save took, the longest time between two questions (a step, and what is measured and drawn after
    it), and EXIT_SECONDS, so that the process has ended when they are over.
    """

    EXIT_SECONDS = 5.0  # Python gives back torch: 2 s on a busy machine

    def __init__(self, minutes: float = 0.0, since: float | None = None) -> None:
        began = time.monotonic() if since is None else since
        self._signalled, self._end = False, began + 60 * (minutes or math.inf)
        self._saving: float | None = None
        self._asked, self._longest = math.inf, 0.0

    @property
    def requested(self) -> bool:
        """Whether to stop now; asked after every step, or whenever processes talk."""
        now = time.monotonic()
        self._asked, self._longest = now, max(self._longest, now - self._asked)
        return self._signalled or now + self._longest + (self._saving or 0.0) + self.EXIT_SECONDS >= self._end

    @property
    def unsure(self) -> bool:
        """Whether there is an end and nobody knows how long before it the last save has to begin, for none was made yet."""
        return self._saving is None and self._end < math.inf

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around a save of the state: remember how long it takes."""
        began = time.monotonic()
        yield
        self._saving = time.monotonic() - began
        self._asked += self._saving  # not a part of the time between two questions

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Listen within the block; a second signal stops at once."""

        def wish(number: int, frame: object) -> None:
            self._signalled = True
            signal.signal(number, before[number])

        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, wish)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(frozen=True)
class Rhythm:
    """How often, in steps, the loop looks up; none of it changes the weights."""

    log: int
    monitor: int
    preview: int
    evaluate: int = 0  # never

    def looks(self, step: int, last: int) -> bool:
        """Whether anything is looked at after `step`."""
        return any(due(step, every, last) for every in (self.log, self.monitor, self.preview, self.evaluate))


def due(step: int, every: int, last: int) -> bool:
    """Whether what happens every so many steps, and at the last one, happens after `step`; 0 is never."""
    return bool(every) and (step % every == 0 or step == last)


def _nothing(*_: object) -> None:
    """What every process but the first does at a look."""


@dataclass(frozen=True)
class Hooks:
    """What the stage does at those moments. `log` gets the means since the last one, `save` keeps the state to resume from."""

    log: Callable[[int, dict[str, float]], None] = _nothing
    monitor: Callable[[int], None] = _nothing
    preview: Callable[[int], None] = _nothing
    evaluate: Callable[[int], None] = _nothing
    save: Callable[[int], None] = _nothing


class Window:
    """The scalars of the steps since the last look, left on the device: reading them each step would make it wait."""

    def __init__(self, precision: str) -> None:
        self._precision = precision
        self._rows: list[dict[str, Scalar]] = []
        self._since = time.perf_counter()

    def add(self, scalars: dict[str, Scalar]) -> None:
        self._rows.append(scalars)

    def restart_clock(self) -> None:
        """Leave out of the speed what was not training."""
        self._since = time.perf_counter()

    def read(self, step: int) -> tuple[dict[str, float], int, float]:
        """Means over the window and over ranks, its length in steps and in seconds; the window starts anew.

        Of what is watched it is the largest of the window and of all ranks.

        step: the number of steps done. Raises DivergedError naming the first term and step that are not finite, and like
        `require_inverse`.
        """
        names = list(dict.fromkeys(name for row in self._rows for name in row))  # some terms count from some step on
        counts = [sum(name in row for row in self._rows) for name in names]
        nothing = next(iter(self._rows[0].values())).new_zeros(()).float()
        table = torch.stack([torch.stack([row[name].float() if name in row else nothing for name in names]) for row in self._rows])
        worst = distributed.largest(table.amax(0))
        (table,) = distributed.average([table])
        with waiting():
            values = table.double().cpu()
        if not values.isfinite().all():
            row, column = (~values.isfinite()).nonzero()[0].tolist()
            bad_step = step - len(self._rows) + row + 1
            raise DivergedError(
                f"{names[column]} is {values[row, column].item()} at step {bad_step}; "
                "nothing that was saved before is touched; try a lower learning rate, with --restart"
            )
        steps, now = len(self._rows), time.perf_counter()
        seconds, self._since, self._rows = now - self._since, now, []
        means = {name: total / count for name, total, count in zip(names, values.sum(0).tolist(), counts, strict=True)}
        numbers = means | {name: value for name, value in zip(names, worst.tolist(), strict=True) if name in WATCHED}
        require_inverse(numbers, step, self._precision)
        return numbers, steps, seconds


def _report(window: Window, step: int, batch: int, hooks: Hooks, bar: Task) -> None:
    """Read the window for the log and the bar."""
    means, count, seconds = window.read(step)
    speed = count * batch / seconds
    hooks.log(step, {**means, "images_per_second": speed})
    bar.advance(count, **means, images_per_second=speed)


def _unless_it_compiles(first: bool, device: torch.device) -> AbstractContextManager[None]:
    """Return what marks a step as a wait for its device. On a GPU a step only launches work and takes long only where the device hangs;
    the first one may compile."""
    return waiting() if device.type == "cuda" and not first else nullcontext()


def train(
    method: Method,
    batches: Batches,
    ema: EMA | None,
    *,
    seed: int,
    start: int,
    steps: int,
    rhythm: Rhythm,
    rate: Callable[[int], float],
    precision: str,
    save_seconds: float,
    stop: Stop,
    hooks: Hooks,
    bar: Task,
) -> None:
    """Steps start + 1 … steps. rate: what the learning rates are multiplied by in each. precision: of the networks, for the guard.

    Raises DivergedError as soon as a look finds a scalar that is not finite (before anything is saved), and InterruptedRun when `stop`
    wishes so (the state saved first).
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
            with distributed.explained(), _unless_it_compiles(step == start + 1, batches.device):
                scalars = method.step(x, labels, generator)
            window.add({**scalars, **method.watched()})
            if ema:
                ema.update(method.model, batches.batch)

            # the window is read before anything is measured or drawn, so that a term that is not finite is named first
            looking = rhythm.looks(step, steps)
            interrupted = distributed.any_rank(stop.requested)
            late = looking and distributed.any_rank(time.monotonic() - saved > save_seconds)
            if looking or interrupted:
                _report(window, step, batches.batch, hooks, bar)
            for every, hook in (
                (rhythm.monitor, hooks.monitor), (rhythm.preview, hooks.preview), (rhythm.evaluate, hooks.evaluate),
            ):  # fmt: skip
                if due(step, every, steps):
                    hook(step)
            if late or interrupted or step == steps or (looking and stop.unsure):
                with stop.saving():
                    hooks.save(step)
                saved = time.monotonic()
                interrupted = distributed.any_rank(stop.requested)  # there may be no time for another save now
            if looking:
                window.restart_clock()
            if interrupted and step < steps:
                raise InterruptedRun(f"stopped after step {step} of {steps}; the state is saved, and the same command goes on from there")
