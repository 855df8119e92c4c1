"""pytest -p emulator.plugin: the tests of this run, on the emulated device. tests/cuda/run.py starts it."""

import emulator

TABLE = "device step"
"""The name of what a test keeps for the table: recipe or case, stage, operators, waits, copies to the device."""


def pytest_configure(config):
    """Begin before any test file is imported, in every worker."""
    emulator.start()


def pytest_terminal_summary(terminalreporter):
    """Print what the device did in a step of every stage."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    rows = [value for report in reports for name, value in getattr(report, "user_properties", []) if name == TABLE]
    if not rows:
        return
    terminalreporter.section("a step on the emulated device, between two looks")
    terminalreporter.write_line("| recipe, network or case | stage | operators | waits | copies to the device |")
    terminalreporter.write_line("|---|---|---|---|---|")
    for label, stage, operators, waits, copies in sorted(rows, key=lambda row: (row[1], row[0])):
        terminalreporter.write_line(f"| {label} | `{stage}` | {operators:,} | {waits} | {copies} |")
