"""The emulated device in tests: without it they are skipped, with it every device mix-up and wait is known."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "training", HERE.parent / "cli"):  # the tables of commands that these tests share
    sys.path.insert(0, str(folder))

import emulator  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder 'cuda', and skip them where the device is not emulated."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("cuda")
            if not emulator.started():
                item.add_marker(pytest.mark.skip(reason="runs on the emulated device: make test-cuda"))


@pytest.fixture(autouse=True)
def record():
    """What the device does in the test; no device may have met another without permission."""
    emulator.RECORD.clear()
    yield emulator.RECORD
    assert not emulator.RECORD.mixups
