"""genrev doctor"""

from typing import TYPE_CHECKING

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.console import done, now_doing, put_out, report, traceback_lines
from genrev_cli.cli.generate import Group, add_command
from genrev_cli.cli.layout import head_lines, row_lines
from genrev_cli.errors import UnavailableError
from genrev_cli.invocation import debugging
from genrev_cli.result import Result
from genrev_cli.settings.doctor import DoctorOptions

if TYPE_CHECKING:
    from genrev_cli.doctor.examination import Examination
    from genrev_cli.doctor.finding import Check, Finding


def _doctor(settings: DoctorOptions, *, as_json: bool) -> None:
    from genrev_cli.doctor.examination import examination, failed, summary

    with examination(settings) as exam:
        findings = _as_json(exam) if as_json else _as_lines(exam)
        if not as_json:
            put_out("")
            put_out(summary(findings, exam.seconds))
    if failed(findings):
        raise typer.Exit(UnavailableError.exit_code)


def _as_lines(exam: "Examination") -> "list[Finding]":
    """Print the head, then each check's line when it ends, so that a crash leaves the earlier lines."""
    for line in head_lines(exam.machine):
        put_out(line)
    put_out("")
    findings: list[Finding] = []
    width = max(len(check.name) for check in exam.checks)
    for check in exam.checks:
        now_doing(check.name)
        finding = _carried_out(exam, findings, check)
        done()
        for line in row_lines(finding.outcome.state, finding.name, finding.outcome.detail, width):
            put_out(line)
    return findings


def _as_json(exam: "Examination") -> "list[Finding]":
    findings: list[Finding] = []
    with listener().task("doctor", len(exam.checks), "checks") as bar:
        for check in exam.checks:
            _carried_out(exam, findings, check)
            bar.advance()
    checks = [finding.as_json() for finding in findings]
    report(Result(None, {"machine": exam.machine, "checks": checks, "seconds": round(exam.seconds, 1)}), as_json=True)
    return findings


def _carried_out(exam: "Examination", findings: "list[Finding]", check: "Check") -> "Finding":
    """Carry out a check and keep its finding; with --debug print the traceback of an error."""
    finding = exam.carry_out(check)
    findings.append(finding)
    if finding.error and debugging.get():
        import traceback

        traceback_lines("".join(traceback.format_exception(finding.error)))
    return finding


add_command(
    "doctor",
    """Describe this machine, and check whether genrev keeps its promises on it: one line for each check.

    PASS: a promise is kept. FAIL: it is not, and the exit code is 5. SKIP: not checked, and why. INFO: a measurement. Nothing is fetched,
    and nothing is left behind. The report names no person, no machine and no home folder: paste it into a bug report.
    """,
    example="genrev doctor --device cuda:0 --minutes 7",
    parts={"settings": Group(DoctorOptions)},
    run=_doctor,
    prints=True,
)
