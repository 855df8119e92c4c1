"""Checks and their findings."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from genrev_cli.doctor.subject import Subject

PASS, FAIL, SKIP, INFO = "PASS", "FAIL", "SKIP", "INFO"
"""States: the promise is kept, or broken; the check was skipped; a measurement without a promise."""


@dataclass(frozen=True)
class Outcome:
    """Result of a check. detail: one line. numbers: name → JSON value, the numbers in that line."""

    state: str
    detail: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One check.

    name: at most 26 characters, so that the table fits 80 columns. run: does the work. needs: what the subject must have, see
    `Subject.lacks`. seconds: estimated time without the network. few, full: its work with the network, as a number of training steps
    with the subject's small and full batch.
    """

    name: str
    run: Callable[["Subject"], Outcome]
    seconds: float = 1.0
    needs: tuple[str, ...] = ()
    _: KW_ONLY
    few: int = 0
    full: int = 0


@dataclass(frozen=True)
class Finding:
    """A line of the report. error: what a check raised, for --debug."""

    name: str
    outcome: Outcome
    error: Exception | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the line as a JSON object. NaN and infinities, which JSON does not have, become None."""
        return {"name": self.name, "state": self.outcome.state, "detail": self.outcome.detail, "numbers": _finite(self.outcome.numbers)}


Numbers: TypeAlias = dict[str, Any]


def verdict(kept: bool, detail: str, numbers: Numbers | None = None) -> Outcome:
    """Return a PASS if the promise is kept, else a FAIL."""
    return Outcome(PASS if kept else FAIL, detail, numbers or {})


def info(detail: str, numbers: Numbers | None = None) -> Outcome:
    """Return an INFO: a measurement without a promise."""
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
