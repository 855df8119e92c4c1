"""What the emulated device did: operators, copies, waits of the host and mix-ups of devices, each with the line that caused it."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "genrev_cli"
_HERE = str(Path(__file__).parent)


@dataclass
class Record:
    """operators: name → launches. copies: ('cpu to cuda' or 'cuda to cpu', line) → number. waits, mixups: (what, line) → number."""

    operators: Counter = field(default_factory=Counter)
    copies: Counter = field(default_factory=Counter)
    waits: Counter = field(default_factory=Counter)
    mixups: Counter = field(default_factory=Counter)

    def clear(self) -> None:
        """Forget everything."""
        for counter in (self.operators, self.copies, self.waits, self.mixups):
            counter.clear()

    def snapshot(self) -> "Record":
        """Return a copy."""
        return Record(self.operators.copy(), self.copies.copy(), self.waits.copy(), self.mixups.copy())

    def wait(self, what: str) -> None:
        """Record that the host waits for the device."""
        self.waits[what, caller()] += 1

    def copy(self, way: str) -> None:
        """Record a copy between host and device."""
        self.copies[way, caller()] += 1


RECORD = Record()
"""The record of this process."""


def caller() -> str:
    """Return 'file:line function' of the innermost frame in genrev; without one, of the innermost outside of torch and the emulator."""
    nearest, frame = "", sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        here = f"{frame.f_lineno} {frame.f_code.co_name}"
        if f"/{PACKAGE}/" in name:
            return f"{name.rpartition(f'/{PACKAGE}/')[2]}:{here}"
        if not nearest and not name.startswith(_HERE) and "/torch/" not in name:
            nearest = f"{Path(name).name}:{here}"
        frame = frame.f_back
    return nearest or "autograd"  # whose threads have no frames of Python
