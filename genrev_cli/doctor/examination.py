"""Run the checks within a time limit."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from genrev_cli.doctor.checks import CHECKS
from genrev_cli.doctor.finding import FAIL, INFO, PASS, SKIP, Check, Finding, Outcome, skipped
from genrev_cli.doctor.machine import described_machine, switches
from genrev_cli.doctor.opening import open_subject
from genrev_cli.doctor.privacy import cleaned
from genrev_cli.doctor.subject import Subject
from genrev_cli.errors import UsageError
from genrev_cli.settings.doctor import DoctorOptions
from genrev_cli.training.devices import resolve_device

NO_TIME = "no time left"
"""Start of the reason of a SKIP that more --minutes would avoid."""

MOST_LETTERS = 300
"""Maximum length of an error in the report; some of torch's fill a screen."""


class Examination:
    """A run of all checks. machine: the head of the report, which describes the machine. checks: the checks in order.

    Raises UsageError for an unknown --device, and what `open_subject` raises. A device that cannot be used is a finding, not an error.
    """

    def __init__(self, options: DoctorOptions, scratch: Path) -> None:
        self.began, self.options, self.checks, self.scratch = time.monotonic(), options, CHECKS, scratch
        found, self.broken = switches(), None
        try:
            device = resolve_device(options.device)
        except UsageError:
            raise
        except Exception as error:  # a broken driver can raise anything, and the report shows it
            device, self.broken = torch.device("cpu"), error
        self.subject: Subject = open_subject(options.device, device, scratch, ckpt=options.ckpt, recipe=options.recipe, data=options.data)
        self.machine: dict[str, Any] = described_machine(self.subject, {"at the start": found, "as genrev sets them": switches()})
        if self.broken:
            self.machine["examined"]["device"] = f"{options.device}, not usable"

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began

    def carry_out(self, check: Check) -> Finding:
        """Return the finding of a check: a SKIP if too little time is left, a FAIL if it raises anything."""
        if self.broken:
            return self._failed(check, self.broken) if check is self.checks[0] else _skipped(check, "the device cannot be used")
        if reason := next(filter(None, map(self.subject.lacks, check.needs)), ""):
            return _skipped(check, reason)
        needed = self._needed(check)
        left = 60 * self.options.minutes - self.seconds
        if needed > left:
            return _skipped(check, f"{NO_TIME}: needs about {needed:.0f} s, has {max(left, 0):.0f} s")
        try:
            outcome = check.run(self.subject)
        except Exception as error:
            return self._failed(check, error)
        finally:
            self._free(check)
        return Finding(check.name, replace(outcome, detail=cleaned(outcome.detail, self.scratch)))

    def _needed(self, check: Check) -> float:
        """Estimate the seconds that a check takes."""
        subject = self.subject
        if (
            not (check.few or check.full) or 60 * self.options.minutes <= self.seconds
        ):  # without time left, nothing is measured for the estimate
            return check.seconds
        return check.seconds + (check.few * subject.few + check.full * subject.batch) * subject.seconds_per_image

    def _failed(self, check: Check, error: Exception) -> Finding:
        said = next(iter(str(error).strip().splitlines()), "")[:MOST_LETTERS]
        return Finding(check.name, Outcome(FAIL, cleaned(f"{type(error).__name__}: {said}", self.scratch)), error)

    def _free(self, check: Check) -> None:
        """Free the memory of networks for the next check."""
        if check.few or check.full:
            gc.collect()
        if self.subject.cuda:
            torch.cuda.empty_cache()


def _skipped(check: Check, reason: str) -> Finding:
    return Finding(check.name, skipped(reason))


@contextmanager
def examination(options: DoctorOptions) -> Iterator[Examination]:
    """Yield an examination; its temporary files are deleted at the end of the block."""
    with TemporaryDirectory(prefix="genrev-doctor.", ignore_cleanup_errors=True) as scratch:
        yield Examination(options, Path(scratch))


def failed(findings: list[Finding]) -> bool:
    """Return True if any check failed."""
    return any(finding.outcome.state == FAIL for finding in findings)


def summary(findings: list[Finding], seconds: float) -> str:
    """Return one line: the number of findings per state, the time, and whether --minutes was too small."""
    states = [finding.outcome.state for finding in findings]
    counted = ", ".join(f"{states.count(state)} {state}" for state in (PASS, FAIL, SKIP, INFO))
    late = sum(finding.outcome.detail.startswith(NO_TIME) for finding in findings)
    return f"{counted} in {seconds:.0f} s" + (f"; {late} had {NO_TIME}: pass a larger --minutes" if late else "")
