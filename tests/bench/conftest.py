"""Fixtures of the benchmarks' tests."""

import importlib
import json

import pytest
import torch

from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks import race
from genrev_cli.cli import main
from genrev_cli.progress import SILENT
from genrev_cli.settings.bench import BenchOptions


@pytest.fixture
def here(monkeypatch, capsys):
    """Let a task run its programs in this process, once each, and return what their judges found."""

    def run_task(module, task):
        def fake(title, sides, options, progress, notes=()):
            rows = []
            for one in filter(lambda one: not race.missing(one), sides):
                module_name, *given = one.command[2:]
                if module_name == "genrev_cli":
                    assert main(list(given)) == 0, capsys.readouterr()[1]
                else:
                    importlib.import_module(module_name).main(**json.loads(given[0]))
                rows.append(one.judge(capsys.readouterr()[0]))
            return Table(title, rows, tuple(notes))

        monkeypatch.setattr(module, "race", fake)
        return task(BenchOptions(quick=True, rounds=1, device="cpu", threads=1), torch.device("cpu"), SILENT)

    return run_task
