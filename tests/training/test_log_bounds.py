"""log.jsonl: bounded, and the same whether its run was interrupted or not."""

import random

import pytest

from genrev_cli.errors import FileError
from genrev_cli.training import log as module
from genrev_cli.training.log import LIMIT, Log, read_log, thinned


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 16)


def lines(log, first, last, every=1):
    """Return the lines of a run: losses each `every` steps, measurements and scores rarely."""
    for step in range(first, last + 1):
        if step % every == 0:
            log.write(step, kind="loss", L_x=step / 7)
        if step % (3 * every) == 0:
            log.write(step, kind="monitor", swd=step / 3)
        if step % 50 == 0:
            log.write(step, kind="eval", FID=float(step))
            log.write(step, kind="error", rel=float(step))


def steps(path, kind):
    return [record["step"] for record in read_log(path) if record["kind"] == kind]


def test_a_usual_run_keeps_all_lines():
    records = [{"step": step, "kind": "loss"} for step in range(0, 25 * LIMIT, 25)]
    assert list(thinned(records, 25 * LIMIT)) != records
    assert list(thinned(records[: LIMIT // 2], 25 * LIMIT // 2)) == records[: LIMIT // 2]  # every 25th of 250,000 steps
    short = [{"step": step, "kind": kind} for step in range(LIMIT) for kind in ("loss", "monitor")]
    assert list(thinned(short, LIMIT - 1)) == short


@pytest.mark.parametrize("every", [1, 5])
def test_bounded_and_spread(tmp_path, few, every):
    path = tmp_path / "log.jsonl"
    log = Log(path, -1)
    for start in range(0, 1000, 10):
        lines(log, start, start + 9, every)
        for kind in ("loss", "monitor"):
            assert len(steps(path, kind)) <= 16
    log.close()
    assert len(steps(path, "loss")) >= 8
    assert steps(path, "eval") == steps(path, "error") == list(range(0, 1000, 50))
    assert {b - a for a, b in zip(steps(path, "loss")[:-1], steps(path, "loss")[1:], strict=True)} <= {60, 64, 65, 70}


@pytest.mark.parametrize("seed", range(5))
def test_an_interruption_does_not_change_the_log(tmp_path, few, seed):
    rng = random.Random(seed)
    straight = Log(tmp_path / "straight.jsonl", -1)
    lines(straight, 0, 1000)
    straight.close()
    step = 0
    while step < 1000:
        killed = min(1000, step + rng.randrange(1, 300))
        log = Log(tmp_path / "killed.jsonl", step or -1)
        lines(log, step + 1 if step else 0, killed)
        log.close()
        step = 1000 if killed == 1000 else rng.randrange(step, killed)
    assert read_log(tmp_path / "killed.jsonl") == read_log(tmp_path / "straight.jsonl")


def test_rewriting_is_rare(tmp_path, few, monkeypatch):
    count, write = [0], module.write_text
    monkeypatch.setattr(module, "write_text", lambda *args: (count.__setitem__(0, count[0] + 1), write(*args)))
    log = Log(tmp_path / "log.jsonl", -1)
    lines(log, 0, 4000)
    log.close()
    assert count[0] == 1 + 8  # at the beginning, and at 16, 32, …, 2048 steps


def test_a_long_log_of_an_earlier_version(tmp_path, few):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f'{{"step": {step}, "kind": "loss"}}\n' for step in range(500)))
    Log(path, 400).close()
    assert steps(path, "loss") == list(range(0, 401, 32))


@pytest.mark.parametrize("cut", [b'{"st', b'{"step": 3, "L_x": 0.', b"\0" * 7, b""])
def test_a_last_line_that_was_cut_short_is_left_out(tmp_path, cut):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n' + cut)
    assert [line["step"] for line in read_log(path)] == [1, 2]


@pytest.mark.parametrize(
    "content", [b"my notes", b'{"step": 1}\nmy notes\n', b'{"step": 1}\n{"st\n{"step": 3}\n', b'{"step": 1}\nmy', b"\xff\n"]
)
def test_a_file_of_someone_else_is_not_replaced(tmp_path, content):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"log\.jsonl: not a log of genrev"):
        Log(path, 10)
    assert path.read_bytes() == content
