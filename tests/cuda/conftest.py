"""The emulated device in tests: without it they are skipped, with it every device mix-up and wait is known."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "training", HERE.parent / "cli"):  # the tables of commands that these tests share
    sys.path.insert(0, str(folder))

import emulator  # noqa: E402
from commands import all_inputs  # noqa: E402
from process_cases import prepare  # noqa: E402
from steps import observed, summary  # noqa: E402

from genrev_cli.cli import main  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark the tests of this folder 'cuda'. Where the device is not emulated, skip one of them with a reason, and leave out the others."""
    own = [item for item in items if HERE in item.path.parents]
    for item in own:
        item.add_marker("cuda")
    if own and not emulator.started():
        own[0].add_marker(pytest.mark.skip(reason=f"{len(own)} tests run on the emulated device alone: make test-cuda"))
        left_out = set(own[1:])
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=own[1:])


@pytest.fixture(autouse=True)
def record():
    """What the device does in the test; no device may have met another without permission."""
    emulator.RECORD.clear()
    yield emulator.RECORD
    assert not emulator.RECORD.mixups


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The folder with data, recipes and checkpoints that commands begin with, made on the CPU."""
    folder = tmp_path_factory.mktemp("inputs")
    prepare(folder)
    assert [main(words) for words in all_inputs(folder)] == [0] * len(all_inputs(folder))
    return folder


@pytest.fixture
def trained(monkeypatch, record_property):
    """(label, words) → run a training command: its stage, and what the device did in every step; a row of the table at the end."""

    def run(label, words):
        with observed(monkeypatch) as steps:
            assert main(words) == 0
        assert sum(not step.looks for step in steps) >= 2, "too few steps without a look to judge"
        record_property("device step", [label, words[0], *summary(steps)])
        return words[0], steps

    return run
