"""Some power cuts of a simulated disk; `power_cuts.py --n 2000` makes many."""

import os

import pytest
from power_cuts import attack

from genrev_cli.training.log import Log

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the simulation needs /proc")


def test_after_a_power_cut_everything_fits_together_and_the_run_goes_on():
    assert attack(50, seed=1)[1] == []


def test_the_simulation_notices_a_log_that_is_not_flushed(monkeypatch):
    monkeypatch.setattr(Log, "sync", lambda self: None)
    assert any("the log ends at" in failure for failure in attack(50, seed=1)[1])
