"""Progress in a terminal of 80 columns: the order of the line, an ETA however slow the run is, and a move at every step."""

import fcntl
import os
import pty
import re
import struct
import termios
from contextlib import contextmanager

import pytest

from genrev_cli.cli import bars
from genrev_cli.cli.bars import Bars, Line, Pace, Plain
from genrev_cli.progress import Progress, Task


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize("seconds", [1e-3, 1.0, 45.0, 3600.0])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_time_left_is_that_of_the_steps_that_are_left(clock, seconds, steps):
    pace = Pace(10, clock=clock)
    assert pace.left() is None
    for _ in range(steps):
        clock.now += seconds
        pace.advance(1)
    assert pace.left() == pytest.approx(seconds * (10 - steps))
    assert pace.elapsed == pytest.approx(seconds * steps)


def test_the_time_left_passes_between_two_steps(clock):
    pace = Pace(10, clock=clock)
    clock.now += 40
    pace.advance(1)
    clock.now += 30
    assert pace.left() == pytest.approx(9 * 40 - 30)
    clock.now += 300
    assert pace.left() == pytest.approx(8 * 40)  # the second step is late; eight more are still to come


def test_a_slow_first_step_is_forgotten(clock):
    """torch compiles in the first step: 120 s, then 0.1 s for each."""
    pace = Pace(10_000, clock=clock)
    clock.now += 120
    pace.advance(1)
    for _ in range(1300):
        clock.now += 0.1
        pace.advance(1)
    assert pace.left() == pytest.approx(0.1 * (10_000 - 1301))


def test_a_resumed_run_does_not_count_earlier_steps(clock):
    pace = Pace(100, done=90, clock=clock)
    clock.now += 5
    pace.advance(1)
    assert pace.left() == pytest.approx(45)


def test_units_that_are_taken_back(clock):
    pace = Pace(10, clock=clock)
    pace.advance(5)
    clock.now += 1
    pace.advance(-5)
    assert pace.left() is None


def test_many_steps_need_little_memory_and_are_all_counted(clock):
    pace = Pace(10**6, clock=clock)
    for _ in range(100_000):
        clock.now += 0.01
        pace.advance(1)
    assert len(pace._marks) <= Pace.MARKS + 1
    assert pace.left() == pytest.approx(0.01 * 900_000, rel=0.01)


@pytest.mark.parametrize("title", ["train-adversarial", "pretrain-recon"])
def test_80_columns_hold_name_position_elapsed_and_eta_of_a_long_run(clock, title):
    line = Line(title, 250_000, "steps", 0, clock=clock)
    clock.now += 36_000
    line.advance(123_456, L_x=0.1, L_z=0.2, grad_norm=3.0, images_per_second=1234.5)
    text = line.text(80)
    assert re.fullmatch(rf"{title}  123456/250000 steps  10:00:00  ETA 10:15:00  L_x 0\.1.*", text)
    assert len(text) == 80
    assert "━" in line.text(150)


@pytest.fixture
def terminal(monkeypatch):
    """A real pseudo-terminal of 80 columns as stderr: call it for what was drawn so far, one string for each line that was drawn."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = open(far, "w")  # noqa: SIM115 (closed below)
    os.set_blocking(near, False)
    drawn = bytearray()

    def lines():
        monkeypatch.setattr("sys.stderr", stream)  # here and not earlier: pytest sets its own before it calls the test
        try:
            while block := os.read(near, 65536):
                drawn.extend(block)
        except BlockingIOError:  # that is all so far
            text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", drawn.decode())
            return [line for line in re.split(r"[\r\n]+", text) if line]

    yield lines
    stream.close()
    os.close(near)


def test_a_slow_run_in_a_terminal(terminal, clock, monkeypatch):
    """45 s for each step, as on a large network: Rich's own estimate would forget every step before the next one."""
    terminal()
    monkeypatch.setattr(bars, "Line", lambda *values: Line(*values, clock=clock))
    progress = Bars()
    with progress.task("pretrain-recon", 400, "steps") as bar:
        for step in range(1, 4):
            clock.now += 45
            bar.advance(1, L_x=0.1234, L_z=0.0123, grad_norm=12.34, images_per_second=5.6)
            progress.live.refresh()
            assert terminal()[-1].startswith(f"pretrain-recon  {step}/400 steps  0:{45 * step // 60:02}:{45 * step % 60:02}  ETA ")
            assert terminal()[-1].split("ETA ")[1].startswith(bars.clock_time(45 * (400 - step)))
    assert max(map(len, terminal())) == 80


def test_a_fast_run_in_a_terminal(terminal, clock, monkeypatch):
    """10,000 steps a second: each is counted, and the end is drawn."""
    terminal()
    monkeypatch.setattr(bars, "Line", lambda *values: Line(*values, clock=clock))
    with Bars().task("train-adversarial", 20_000, "steps") as bar:
        for _ in range(20_000):
            clock.now += 1e-4
            bar.advance()
    assert terminal()[-1] == "train-adversarial  20000/20000 steps  0:00:02  ETA 0:00:00"


def test_tasks_inside_of_tasks_have_a_line_each(terminal):
    terminal()
    progress = Bars()
    with progress.task("sweep", 2, "points") as outer:
        for number in range(2):
            with progress.task(f"train {number}", 3, "steps") as inner:
                inner.advance(3)
            progress.note(f"note {number}")
            outer.advance()
    shown = [line.split("  ")[0] for line in terminal()]
    assert [name for name in dict.fromkeys(shown) if "train" in name or "note" in name] == [
        "train 0", "genrev: note 0", "train 1", "genrev: note 1",
    ]  # fmt: skip
    assert terminal()[-1].startswith("sweep  2/2 points")


def test_plain_lines_keep_the_newest_numbers(capsys, monkeypatch, clock):
    monkeypatch.setattr(bars, "Plain", lambda *values: Plain(*values, clock=clock))
    with bars.PlainLines().task("train", 3, "steps") as bar:
        bar.advance(1, loss=0.5)
        clock.now += 11
        bar.advance(1)
        bar.advance(1)
    assert capsys.readouterr().err == "train: 2/3 steps, 11 s left  loss 0.5\ntrain: 3/3 steps, 0 s left  loss 0.5\n"


class Counter(Progress):
    """Counts the calls of a bar."""

    def __init__(self):
        self.calls = []

    @contextmanager
    def task(self, title, total, unit="images", done=0):
        calls = self.calls

        class Bar(Task):
            def advance(self, units=1, **numbers):
                calls.append((units, bool(numbers)))

        yield Bar()


def test_training_moves_the_bar_at_every_step(recon, tmp_path):
    from genrev_cli.settings.schedule import RunOptions

    progress = Counter()
    recon(tmp_path / "a.safetensors", steps=5, run=RunOptions(device="cpu", log_every=2), progress=progress)
    assert progress.calls == [(1, False), (1, True), (1, False), (1, True), (1, True)]
