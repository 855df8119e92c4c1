"""A process that is dead, suspended or stuck ends the others within a stated time, with one sentence. A busy process does not."""

import time

import pytest
from test_processes import start_script

from genrev_cli.training.peers import FAILED, GRACE, LAST_WORDS, LEFT, Heard, Judge

PATIENCE = 3.0


def outcomes(case, survivors, patience=PATIENCE):
    """Return for each survivor: exit code, lines of stderr, and seconds from the start of the run to its first line or its end."""
    running = start_script("peer_cases.py", case, str(patience))
    try:
        for rank in survivors:
            assert running[rank].stdout.readline() == "met\n", running[rank].stderr.read()
        met = time.monotonic()
        found = []
        for rank in survivors:
            first = running[rank].stderr.readline()
            seconds = time.monotonic() - met
            _, rest = running[rank].communicate(timeout=60)
            found.append((running[rank].returncode, (first + rest).splitlines(), seconds))
        return found
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "survivor", "sentence", "least", "most"),
    [
        ("stop 1", 0, "process 1 of 2 has not answered for 3 seconds", PATIENCE - 1, PATIENCE + 6),
        ("stop 0", 1, "process 0 of 2 has not answered for 3 seconds", PATIENCE - 1, PATIENCE + 8),
        ("stop 1 from work", 0, "process 1 of 2 has not answered for 3 seconds", PATIENCE - 1, PATIENCE + 6),
        ("kill 1", 0, "process 0 of 2 has lost the others: one of them has ended", 0, LAST_WORDS + 6),
        ("kill 0", 1, "process 1 of 2 has lost the others: one of them has ended", 0, LAST_WORDS + 6),
        ("kill 0 from device", 1, "process 0 of 2 has ended", GRACE - 1, GRACE + 6),
    ],
)
def test_a_lost_process_ends_the_other(case, survivor, sentence, least, most):
    ((code, lines, seconds),) = outcomes(case, [survivor])
    assert (code, len(lines)) == (6, 1), lines
    assert lines[0].startswith(f"genrev: error: {sentence}")
    assert lines[0].endswith("the same command goes on from the last state that was saved, if it saves any")
    assert least < seconds < most


@pytest.mark.slow
def test_waiting_for_the_device_has_an_end():
    """No process caused it, so one of them reports it."""
    (code, lines, seconds), (other_code, other_lines, other) = outcomes("device", [0, 1])
    assert (code, other_code) == (6, 6)
    (line,) = lines + other_lines
    assert "of 2 has waited 3 seconds for the others or its device (--peer-timeout)" in line
    assert PATIENCE + GRACE - 1 < max(seconds, other) < PATIENCE + GRACE + LAST_WORDS + 6


@pytest.mark.slow
def test_an_error_of_one_ends_the_other_that_waits_for_its_device():
    (code, lines, seconds), (other_code, other_lines, _) = outcomes("fail 1 from device", [0, 1], patience=60.0)
    assert (code, other_code) == (6, 3)
    assert lines + other_lines == ["genrev: error: process 1 has a reason"]
    assert seconds < GRACE + 5


@pytest.mark.slow
def test_a_busy_process_is_not_lost():
    for code, lines, _ in outcomes("slow", [0, 1], patience=5.0):
        assert (code, lines) == (0, [])


def judge(rank=0, size=3, agent=True):
    return Judge(rank=rank, size=size, patience=10.0, agent=agent)


def said(one, seconds, *, beats=None, gone=False, waits=(), step=1.0):
    """Return the first sentence of checks in each second. beats: second → the beats of all processes, None if the store does not answer."""
    for second in range(1, int(seconds) + 1):
        answered = beats and [beat(second) if callable(beat) else beat for beat in beats]
        heard = Heard(rounds=second if answered else 0, beats=answered or [], gone=gone)
        if sentence := one.look(step, heard, waits):
            return second, sentence.partition(";")[0]
    return None


def grows(second):
    return str(second).encode()


def test_the_judge_names_who_is_silent():
    assert said(judge(), 60, beats=[grows, grows, b"7"]) == (12, "process 2 of 3 has not answered for 10 seconds (--peer-timeout)")


@pytest.mark.parametrize("last", [grows, LEFT, FAILED])
def test_the_judge_lets_go_on(last):
    """This holds while all beat, and when a process has finished or failed but no one waits for it. Its own beat does not count."""
    assert said(judge(), 60, beats=[b"1", grows, last]) is None


def test_the_judge_ends_a_wait_for_a_failed_process():
    assert said(judge(), 60, beats=[grows, grows, FAILED], waits=["mark"]) == (6, "process 2 of 3 has ended with an error")


def test_the_judge_ends_a_wait_that_is_too_long():
    assert said(judge(1), 60, beats=[grows] * 3, waits=["mark"]) == (
        16, "process 1 of 3 has waited 10 seconds for the others or its device (--peer-timeout)",
    )  # fmt: skip


def test_the_judge_allows_many_waits():
    one = judge()
    for second in range(60):
        assert not one.look(1.0, Heard(second, [grows(second)] * 3), [second // 9])


@pytest.mark.parametrize(("agent", "who"), [(True, "the rendezvous store of torchrun"), (False, "process 0 of 3")])
def test_the_judge_knows_a_store_that_does_not_answer(agent, who):
    assert said(judge(1, agent=agent), 60) == (11, f"{who} has not answered for 10 seconds (--peer-timeout)")


def test_the_judge_knows_a_store_that_is_gone():
    """The store ends with process 0. A process that waits for no other may go on."""
    assert said(judge(1), 60, gone=True) == (6, "the rendezvous store of torchrun has ended")
    assert said(judge(1, agent=False), 60, gone=True) is None
    assert said(judge(1, agent=False), 60, gone=True, waits=["mark"]) == (6, "process 0 of 3 has ended")


def test_long_times_are_shown_in_minutes():
    one = Judge(rank=0, size=2, patience=600.0, agent=True)
    assert said(one, 700, beats=[grows, b"1"])[1] == "process 1 of 2 has not answered for 10 minutes (--peer-timeout)"
