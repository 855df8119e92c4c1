"""How a long piece of work tells where it is, without knowing who listens."""

from collections.abc import Iterator
from contextlib import contextmanager


class Task:
    """One bar: so many units of work, of which `advance` reports some as done."""

    def advance(self, units: int = 1, **numbers: float) -> None:
        """`units` more are done; `numbers` (a loss, a rate) are shown beside them."""


class Progress:
    """The listener; this one is deaf. The console's shows bars on a terminal and plain lines elsewhere."""

    @contextmanager
    def task(self, title: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        """A bar of `total` units, `done` of which were there before; it closes with the block."""
        yield Task()

    def note(self, message: str) -> None:
        """A sentence that the user should read: a warning, or a fact worth a line."""


SILENT = Progress()
