"""--time-limit: the process ends in time, however long loading and saving take."""

import time
from dataclasses import replace

import pytest

from genrev_cli.errors import InterruptedRun
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.invocation import process_began, since
from genrev_cli.runs import saved as saving
from genrev_cli.runs.resume import run_folder
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.training import loop
from genrev_cli.training.loop import Stop

RUN = RunOptions(device="cpu", log_every=5)
FOREVER = 10**7


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    return clock


def questions(stop, clock, step, every=0, save=0.0):
    """Return when a run ends, without the exit, given the seconds of a step and of a save, and the steps between saves."""
    count = 0
    while True:
        clock.now += step
        count += 1
        stopping = stop.requested
        if stopping or (every and count % every == 0):
            with stop.saving():
                clock.now += save
            if stop.requested:
                return clock.now


@pytest.mark.parametrize("every", range(1, 20))
def test_time_for_a_save_and_a_step_is_reserved(clock, every):
    """It ends in time, but not earlier than by a save and two steps."""
    stop = Stop(1.0)
    assert stop.unsure
    with stop.saving():
        clock.now += 12.0
    ended = questions(stop, clock, 2.0, every, 12.0)
    assert 1060 - 12 - 2 * 2 <= ended + Stop.EXIT_SECONDS <= 1060
    assert not stop.unsure


def test_the_time_limit_reserves_the_longest_step(clock):
    """A step may be followed by a score, and so may the next."""
    stop = Stop(1.0)
    for pause in (1.0, 20.0, 1.0):
        clock.now += pause
        assert not stop.requested
    assert questions(stop, clock, 1.0) == 1060 - 5 - 20


def test_the_time_limit_counts_from_the_start_of_the_process(clock):
    assert not Stop(1.0, since=970.0).requested
    assert Stop(1.0, since=900.0).requested
    assert not Stop(0.0, since=-1e9).requested
    assert not Stop().unsure


def test_loading_counts(tmp_path, recon):
    token = process_began.set(time.monotonic() - 61)
    try:
        with pytest.raises(InterruptedRun, match=f"stopped after step 1 of {FOREVER}"):
            recon(tmp_path / "a.safetensors", steps=FOREVER, run=replace(RUN, time_limit=1.0))
    finally:
        process_began.reset(token)
    assert since() == pytest.approx(time.monotonic(), abs=1)


def test_a_state_is_saved_in_time_on_a_slow_disk(tmp_path, recon, monkeypatch):
    """A save takes 0.8 of 6 seconds. The state is complete in time, although the run had saved only once before."""
    monkeypatch.setattr(Stop, "EXIT_SECONDS", 1.0)
    began, written, write = time.monotonic(), [], saving.write_checkpoint

    def slowly(*args):
        time.sleep(0.8)
        write(*args)
        written.append(time.monotonic() - began)

    monkeypatch.setattr(saving, "write_checkpoint", slowly)
    out = tmp_path / "a.safetensors"
    with pytest.raises(InterruptedRun):
        recon(out, steps=FOREVER, run=replace(RUN, time_limit=6 / 60))
    assert len(written) == 2  # at the first report, to measure its time, and at the end
    assert 2 < written[1] <= time.monotonic() - began < 6
    assert read_checkpoint_header(run_folder(out) / "state.safetensors").step > 5
