"""What a check is and what it finds."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from genrev_cli.doctor.subject import Subject

PASS, FAIL, SKIP, INFO = "PASS", "FAIL", "SKIP", "INFO"
"""A promise is kept, or not; nothing was done, and why; something was measured that nobody promised."""


@dataclass(frozen=True)
class Outcome:
    """What one check found. detail: one line. numbers: name → JSON value, what the line was made from."""

    state: str
    detail: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One check.

    name: at most 26 characters, so that the table fits 80 columns. run: does the work. needs: what the subject has to have for it, see
    `Subject.lacks`. seconds: how long it takes beside the network's work. few, full: how many training steps its work amounts to, with
    the subject's small and with its full batch.
    """

    name: str
    run: Callable[["Subject"], Outcome]
    seconds: float = 1.0
    needs: tuple[str, ...] = ()
    few: int = 0
    full: int = 0


@dataclass(frozen=True)
class Finding:
    """A line of the report. error: what a check raised, for --debug."""

    name: str
    outcome: Outcome
    error: Exception | None = None

    def as_json(self) -> dict[str, Any]:
        """The line as a JSON object; numbers that JSON does not have, NaN and infinities, are None."""
        return {"name": self.name, "state": self.outcome.state, "detail": self.outcome.detail, "numbers": _finite(self.outcome.numbers)}


Numbers: TypeAlias = dict[str, Any]


def verdict(kept: bool, detail: str, numbers: Numbers | None = None) -> Outcome:
    """Return a PASS where the promise is kept, else a FAIL."""
    return Outcome(PASS if kept else FAIL, detail, numbers or {})


def told(detail: str, numbers: Numbers | None = None) -> Outcome:
    """Return an INFO: a measurement that nothing is promised of."""
    return Outcome(INFO, detail, numbers or {})


def skipped(reason: str) -> Outcome:
    """Return a SKIP with its reason."""
    return Outcome(SKIP, reason)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
