"""Progress reports of long tasks; the caller decides how they are shown."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Task:
    """One progress bar."""

    def advance(self, units: int = 1, **numbers: float) -> None:
        """Report that `units` more are done; `numbers` (a loss, a rate) are shown beside the bar."""


class Progress:
    """Receives progress reports and ignores them. The console's subclass shows bars on a terminal and plain lines elsewhere."""

    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        """Show a bar of `total` units, `done` of them already done; the bar closes when the block ends."""
        yield Task()

    def note(self, message: str) -> None:
        """Show a sentence to the user: a warning, or something worth knowing."""

    def logged(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Receive a line of a training run's log: its step, its kind (loss, monitor or eval) and its numbers."""


SILENT = Progress()
