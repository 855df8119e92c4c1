"""How many steps fit into the minutes of a row."""

import json
import sys
from dataclasses import asdict

import pytest

from genrev_cli.errors import UsageError
from genrev_cli.obtained import pace
from genrev_cli.obtained.pace import LEAST_SECONDS, Pace, measure, planned, read_pace, seconds_per_step, steps_within, write_pace


@pytest.mark.parametrize(
    ("minutes", "seconds", "first", "warm_up", "steps"),
    [
        (1, 0.5, 0.5, 0, 120),
        (1, 0.5, 0.1, 100, 200),  # 100 steps in 10 s, then 100 in 50 s
        (1, 0.5, 0.1, 600, 600),  # just the warm-up
        (1, 0.5, 0.1, 3000, 600),  # the warm-up does not end
        (1, 200, 200, 0, 1),  # at least one step
    ],
)
def test_the_steps_fit_the_minutes(minutes, seconds, first, warm_up, steps):
    assert steps_within(minutes, seconds, first_seconds=first, warm_up=warm_up) == steps
    found = made(steps=steps, seconds=seconds, first_seconds=first, warm_up=warm_up).planned_minutes
    assert found == pytest.approx(minutes) or (steps == 1 and found > minutes)


@pytest.mark.parametrize(
    ("minutes", "warm_up", "expected"),
    [(1, 0, (120, 0)), (1, 32, (142, 28)), (1, 28, (142, 28)), (1, 100, (142, 28)), (1, 3000, (142, 28)), (0.001, 10, (1, 0))],
)
def test_the_warm_up_is_at_most_a_fifth_of_the_steps(minutes, warm_up, expected):
    """0.5 s a step, 0.1 s in the warm-up: 28 · 0.1 + 114 · 0.5 = 59.8 s."""
    assert planned(minutes, 0.5, first_seconds=0.1, warm_up=warm_up) == expected


def made(**values):
    given = {"steps": 7, "minutes": 1.0, "seconds": 0.5, "first_seconds": 0.5, "warm_up": 0, "recipe_steps": 70}
    given |= {"options": "--steps 7", "recipe_warm_up": 0}
    return Pace(**{**given, "clock": "cpu", "cpu": "X", "cores": 2, "threads": "1", **values})


@pytest.mark.parametrize("seconds", [1e-4, 0.02, 0.3, 8.0])
def test_the_start_of_the_process_does_not_count(seconds):
    asked = []

    def cost(steps):
        asked.append(steps)
        return 5 + seconds * steps

    assert seconds_per_step(cost) == pytest.approx(seconds)
    assert sum(asked) * seconds < 12 * max(LEAST_SECONDS, seconds), "the measurement takes longer than it must"
    assert len(asked) <= 5


def test_a_start_that_varies_changes_little():
    def cost(steps):
        return 5 + 0.2 * (-1) ** steps + 0.03 * steps

    assert seconds_per_step(cost) == pytest.approx(0.03, rel=0.1)


STAND_IN = """
import json, sys, time
words = sys.argv[1:]
if "--dry-run" in words:
    print(json.dumps({"steps": 700, "method": {"warm_up": 10}}))
elif "--fail" in words:
    print("genrev: no such data", file=sys.stderr)
    sys.exit(3)
else:
    steps = int(words[words.index("--steps") + 1])
    warm = 0 if "--warm-up" in words else min(steps, 10)
    end = time.process_time() + 0.01 * (2 * (steps - warm) + warm)
    while time.process_time() < end:
        pass
"""


def test_the_warm_up_is_timed_by_itself(tmp_path, monkeypatch):
    """The stand-in's first ten steps take 10 ms each, the later ones 20; --warm-up 0 skips the former."""
    monkeypatch.setattr(pace, "LEAST_SECONDS", 0.2)
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    found = measure([sys.executable, str(script)], minutes=0.01, warm_up_off="--warm-up 0", device="cpu")
    assert (found.recipe_warm_up, found.recipe_steps, found.clock) == (10, 700, "cpu")
    assert found.seconds > found.first_seconds
    assert (found.steps, found.warm_up) == planned(0.01, found.seconds, first_seconds=found.first_seconds, warm_up=10)
    assert found.options == f"--steps {found.steps} --warm-up {found.warm_up}"


def test_a_command_that_fails_says_why(tmp_path):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    with pytest.raises(UsageError, match="exit code 3: genrev: no such data"):
        measure([sys.executable, str(script), "--fail"], minutes=1, warm_up_off="", device="cpu")


def test_a_pace_comes_back_from_its_file(tmp_path):
    write_pace(tmp_path / "pace.json", made(threads=""))
    assert read_pace(tmp_path / "pace.json") == made(threads="")


def test_a_pace_of_an_earlier_version_plans_its_steps(tmp_path):
    earlier = {name: value for name, value in asdict(made(warm_up=3)).items() if name not in ("options", "recipe_warm_up")}
    (tmp_path / "pace.json").write_text(json.dumps(earlier))
    assert read_pace(tmp_path / "pace.json") == made(warm_up=3, recipe_warm_up=3)
