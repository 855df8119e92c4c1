"""Show the progress of tasks: a line for each on a terminal, drawn again and again; elsewhere a plain line now and then.

    pretrain-recon  120/10000 steps  0:01:03  ETA 1:26:27  L_x 0.104  images_per_second 238

Name, position, elapsed time and ETA come first and fit 80 columns. The numbers after them are cut off at the edge.
"""

import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from genrev_cli.cli.stderr import STDERR, tell, visible
from genrev_cli.invocation import first_process
from genrev_cli.progress import SILENT, Progress, Task

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

PLAIN_SECONDS = 10.0
"""Least time between two plain lines."""

BAR_COLUMNS, BAR_FROM = 20, 110
"""Width of the drawn bar, and of the terminals that are wide enough for it."""


class Pace:
    """Estimates the time that is left from the speed in the second half of the time so far.

    So a slow first step, in which torch compiles, is soon forgotten, and there is an estimate after one step, however slow it is.
    clock: seconds, for tests.
    """

    MARKS = 256

    def __init__(self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done, self.clock = total, done, clock
        self.began = clock()
        self._calls, self._spacing = 0, 1
        self._last = (self.began, done)
        self._marks = [self._last]  # one list and no two, because the thread that draws reads it meanwhile

    def advance(self, units: int) -> None:
        """Count `units` more. Negative ones take back units that have to be done again."""
        self.done += units
        self._calls += 1
        if self._calls % self._spacing == 0:
            self._marks.append((self.clock(), self.done))
        if len(self._marks) > self.MARKS:
            self._marks, self._spacing = self._marks[::2], 2 * self._spacing
        self._last = (self.clock(), self.done)

    @property
    def elapsed(self) -> float:
        """Seconds since the task began."""
        return self.clock() - self.began

    def left(self) -> float | None:
        """Return the seconds that are left, or None while nothing has been done."""
        (last, count), marks = self._last, self._marks
        if count >= self.total:
            return 0.0
        middle = bisect_right(marks, self.began + (last - self.began) / 2, key=lambda mark: mark[0])
        first, earlier = marks[middle - 1]
        if count <= earlier:  # nothing was done in the second half: take all of the time
            first, earlier = marks[0]
        if count <= earlier:
            return None
        rate = (last - first) / (count - earlier)
        return rate * (self.total - count) - min(self.clock() - last, rate)  # a unit that takes longer does not bring the end nearer


def clock_time(seconds: float | None) -> str:
    """Return a duration as h:mm:ss, or -:--:-- for None."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def numbers_text(numbers: dict[str, float]) -> str:
    """Return numbers as they stand behind a bar."""
    return "".join(f"  {name} {value:.4g}" for name, value in numbers.items())


class Line(Task):
    """One task as a line of text."""

    def __init__(self, title: str, total: int, unit: str, done: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self.unit, self.numbers = visible(title), unit, ""
        self.pace = Pace(total, done, clock)

    def advance(self, units: int = 1, **numbers: float) -> None:
        """Count units, and keep the newest numbers."""
        self.pace.advance(units)
        if numbers:
            self.numbers = numbers_text(numbers)

    def text(self, width: int) -> str:
        """Return the line, at most `width` columns of it."""
        pace = self.pace
        drawn = f"{_drawn(pace.done, pace.total)}  " if width >= BAR_FROM else ""
        head = f"{self.title}  {drawn}{pace.done}/{pace.total} {self.unit}  {clock_time(pace.elapsed)}  ETA {clock_time(pace.left())}"
        return (head + self.numbers)[:width]


def _drawn(done: int, total: int) -> str:
    full = min(max(BAR_COLUMNS * done // total, 0), BAR_COLUMNS) if total else BAR_COLUMNS
    return "━" * full + "╌" * (BAR_COLUMNS - full)


def listener() -> Progress:
    """Return a progress that draws lines on a terminal, and prints a plain one now and then elsewhere."""
    if not first_process():
        return SILENT
    return Bars() if sys.stderr.isatty() else PlainLines()


class _Noting(Progress):
    def note(self, message: str) -> None:
        tell(f"genrev: {message}")


class Plain(Line):
    """Prints a line when the last one is old enough, and at the end."""

    def __init__(self, title: str, total: int, unit: str, done: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(title, total, unit, done, clock=clock)
        self.last = self.pace.began

    def advance(self, units: int = 1, **numbers: float) -> None:
        super().advance(units, **numbers)
        pace, now = self.pace, self.pace.clock()
        if now - self.last >= PLAIN_SECONDS or pace.done >= pace.total:
            self.last = now
            tell(f"{self.title}: {pace.done}/{pace.total} {self.unit}, {pace.left() or 0:.0f} s left{self.numbers}")


class PlainLines(_Noting):
    """Progress where stderr is no terminal."""

    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        yield Plain(title, total, unit, done)


class Bars(_Noting):
    """Progress on a terminal. Tasks may be nested; each has a line, which stays when the task is done."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.live: Live | None = None

    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        """Show a line until the block ends. The outermost task starts and ends the drawing."""
        line = Line(title, total, unit, done)
        self.lines.append(line)
        if len(self.lines) > 1:
            try:
                yield line
            finally:
                self.lines.remove(line)
                self._print(line)
            return
        try:
            with self._drawing():
                yield line
        finally:
            self.lines.remove(line)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(file=cast(IO[str], STDERR)), get_renderable=self._shown, refresh_per_second=10) as self.live:
            yield
        self.live = None

    def _shown(self) -> "Group":
        from rich.console import Group

        return Group(*map(self._rich, self.lines))

    def _rich(self, line: Line) -> "Text":
        from rich.text import Text

        width = self.live.console.width if self.live else 80
        return Text(line.text(width), no_wrap=True, overflow="crop")

    def _print(self, line: Line) -> None:
        """Print the last state of an inner task above the lines that are still drawn."""
        if self.live:
            self.live.console.print(self._rich(line))
