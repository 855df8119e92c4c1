"""The parts of the loop: averages, the window of scalars, the log, signals, and rows split over processes."""

import json
import os
import signal

import pytest
import torch
from torch import nn

from genrev_cli.errors import DivergedError, InterruptedRun, UsageError
from genrev_cli.progress import Task
from genrev_cli.training import distributed, peers
from genrev_cli.training.ema import EMA
from genrev_cli.training.guard import ROUNDTRIP
from genrev_cli.training.log import Log, read_log
from genrev_cli.training.loop import Hooks, Intervals, Stop, Window, _marks_wait, seeded, train


class Weights(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([value], dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))


@pytest.mark.parametrize(("images", "updates"), [(10, 1), (5, 4), (30, 2)])
def test_ema_closed_form(images, updates):
    """From 1 towards a constant 3 with half-life 10, the average is 3 − 2·2^(−images / 10), for any batch size."""
    ema, target = EMA(Weights(1.0), 10), Weights(3.0)
    target.count += 7
    for _ in range(updates):
        ema.update(target, images)
    assert ema.module.w.item() == pytest.approx(3 - 2 * 0.5 ** (images * updates / 10), rel=1e-12)
    assert ema.module.count == 7


def test_ema_of_a_moving_weight():
    model, expected = Weights(0.0), 0.0
    ema = EMA(model, 4)
    for value in (1.0, -2.0, 5.0):
        with torch.no_grad():
            model.w.fill_(value)
        ema.update(model, 1)
        expected = value + 2 ** (-1 / 4) * (expected - value)
        assert ema.module.w.item() == pytest.approx(expected, rel=1e-12)
    assert not ema.module.w.requires_grad
    assert model.w.item() == 5


def filled(rows):
    window = Window("fp32")
    for row in rows:
        window.add({name: torch.tensor(value) for name, value in row.items()})
    return window


def test_window_means():
    window = filled([{"a": 1.0, "b": -4.0}, {"a": 3.0, "b": 0.0}])
    means, steps, seconds = window.read(2)
    assert means == {"a": 2, "b": -2}
    assert steps == 2
    assert seconds >= 0
    window.add({"a": torch.tensor(9.0), "b": torch.tensor(9.0)})
    assert window.read(3)[:2] == ({"a": 9, "b": 9}, 1)


def test_reading_the_window_is_a_marked_wait(monkeypatch):
    """Here a process would wait for a device that hangs because another process is gone."""
    marks = []

    class Table:
        def __init__(self, table):
            self.table = table

        def double(self):
            return self

        def cpu(self):
            marks.append(len(peers._open))
            return self.table.double()

    monkeypatch.setattr(distributed, "average", lambda tensors: [Table(tensors[0])])
    filled([{"a": 1.0}]).read(1)
    assert marks == [1]
    assert not peers._open


@pytest.mark.parametrize(("device", "first", "marks"), [("cuda:0", False, 1), ("cuda:0", True, 0), ("cpu", False, 0)])
def test_a_step_on_a_gpu_is_a_marked_wait(device, first, marks):
    with _marks_wait(first, torch.device(device)):
        assert len(peers._open) == marks


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_window_names_the_first_bad_term_and_step(bad):
    """In steps 8, 9, 10, b is not finite from 9 on, a only later."""
    window = filled([{"a": 1.0, "b": 1.0}, {"a": 1.0, "b": bad}, {"a": bad, "b": bad}])
    with pytest.raises(DivergedError, match=f"^b is {bad} at step 9;") as error:
        window.read(10)
    assert error.value.exit_code == 4


class Recorder:
    """A method, and its batches, that records what the loop does."""

    batch, device, optimizers = 4, torch.device("cpu"), {}
    modules: dict = {}  # noqa: RUF012 (none of them changes)

    def __init__(self):
        self.model, self.asked, self.drawn, self.seen, self.begun = Weights(0.0), [], [], [], []

    def begin(self, step):
        self.begun.append(step)

    def watched(self):
        return {}

    def __call__(self, step):
        self.asked.append(step)
        return torch.zeros(4, 1), torch.zeros(4)

    def step(self, x, labels, generator):
        self.drawn.append(torch.rand(2, generator=generator).tolist())
        return {"loss": torch.tensor(float(len(self.drawn)))}

    def hooks(self):
        names = ("log", "monitor", "preview", "save")
        return Hooks(**{name: lambda step, *rest, name=name: self.seen.append((name, step, *rest)) for name in names})

    def run(self, start, steps, seed=0, intervals=Intervals(2, 3, 4), save_seconds=1e9, stop=None):  # noqa: B008 (frozen)
        train(
            self,
            self,
            None,
            seed=seed,
            start=start,
            steps=steps,
            intervals=intervals,
            rate=lambda step: 1.0,
            precision="fp32",
            save_seconds=save_seconds,
            stop=stop or Stop(),
            hooks=self.hooks(),
            bar=Task(),
        )
        return self


def test_every_step_is_its_own_and_the_same_in_every_run():
    whole, tail, other = Recorder().run(0, 6), Recorder().run(4, 6), Recorder().run(0, 6, seed=1)
    assert whole.asked == list(range(6))
    assert tail.asked == [4, 5]
    assert (whole.begun, tail.begun) == ([1, 2, 3, 4, 5, 6], [5, 6])
    assert whole.drawn[4:] == tail.drawn
    assert len({tuple(numbers) for numbers in whole.drawn + other.drawn}) == 12


def test_intervals():
    """Hooks are called at every 2nd, 3rd and 4th step, and all at the last. Means are those since the last report."""
    seen = Recorder().run(0, 7).seen
    assert [step for name, step, *_ in seen if name == "log"] == [2, 3, 4, 6, 7]  # whenever any hook is due
    assert [rest[0]["loss"] for name, _, *rest in seen if name == "log"] == [1.5, 3, 4, 5.5, 7]
    assert [step for name, step, *_ in seen if name == "monitor"] == [3, 6, 7]
    assert [step for name, step, *_ in seen if name == "preview"] == [4, 7]
    assert [step for name, step, *_ in seen if name == "save"] == [7]
    assert [step for name, step, *_ in Recorder().run(0, 7, save_seconds=0).seen if name == "save"] == [2, 3, 4, 6, 7]
    assert Recorder().run(7, 7).seen == []


def test_log_keeps_lines_of_steps_that_are_not_repeated(tmp_path):
    path = tmp_path / "run" / "log.jsonl"
    log = Log(path, 0)
    for step in (0, 5, 10):
        log.write(step, kind="loss", L_x=step / 7)
    log.close()
    assert [record["step"] for record in read_log(path)] == [0, 5, 10]
    resumed = Log(path, 5)
    resumed.write(6, kind="loss", L_x=1.0)
    resumed.close()
    assert read_log(path) == [
        {"step": 0, "kind": "loss", "L_x": 0},
        {"step": 5, "kind": "loss", "L_x": 5 / 7},
        {"step": 6, "kind": "loss", "L_x": 1},
    ]


def test_log_drops_a_line_cut_short(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert [record["step"] for record in read_log(path)] == [1, 2]
    log = Log(path, 5)
    log.write(3)
    log.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    assert read_log(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_requests_a_stop(number):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with Stop().listening() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert signal.getsignal(number) == before[number]  # a second signal stops at once
    assert {number: signal.getsignal(number) for number in before} == before


def test_seeded_depends_on_seed_and_purpose_and_restores_the_generators():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    drawn = []
    for seed, purpose in ((0, "a"), (0, "a"), (0, "b"), (1, "a")):
        with seeded(seed, purpose):
            drawn.append(torch.rand(3))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(drawn[0], drawn[1])
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == 3


def test_a_single_process_is_the_identity():
    tensors = [torch.rand(2, 3), torch.rand(1)]
    assert (distributed.rank(), distributed.size()) == (0, 1)
    assert all(a is b for a, b in zip(distributed.average(tensors), tensors, strict=True))
    assert torch.equal(distributed.shard(tensors[0]), tensors[0])
    assert [distributed.any_rank(flag) for flag in (True, False)] == [True, False]


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_shards_have_every_row_once(monkeypatch, size):
    monkeypatch.setattr(distributed, "size", lambda: size)
    rows = torch.arange(12)
    shards = []
    for rank in range(size):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shards.append(distributed.shard(rows))
    assert {len(shard) for shard in shards} == {12 // size}
    assert torch.equal(torch.stack(shards, 1).flatten(), rows)


def test_rows_that_cannot_be_split(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 5)
    with pytest.raises(UsageError, match="a batch of 12 cannot be split over 5 processes; choose a multiple of 5"):
        distributed.shard(torch.arange(12))


@pytest.mark.parametrize("found", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "two", "RANK": "0"}], ids=str)
def test_processes_that_were_not_started_together(monkeypatch, found):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(UsageError, match="but the processes do not find each other .*; start them by torchrun, or unset WORLD_SIZE"),
        distributed.joined(1.0, pytest.fail),
    ):
        pytest.fail("they did not join")


def test_local_device(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert [distributed.local_device(name) for name in ("cuda", "cuda:1", "cpu")] == ["cuda:3", "cuda:1", "cpu"]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--device cuda:1: each of the 2 processes needs its own GPU; use --device cuda"):
        distributed.local_device("cuda:1")


def test_a_run_out_of_time_saves_and_stops():
    """The run stops after the step in which the time runs out, and never without a limit."""
    recorder = Recorder()
    with pytest.raises(InterruptedRun, match="stopped after step 1 of 5; the state is saved, and the same command goes on"):
        recorder.run(0, 5, stop=Stop(1e-9))
    assert recorder.seen[-1][:2] == ("save", 1)
    assert not Stop().requested
    assert not Stop(60).requested


def test_a_window_has_terms_that_began_within_it():
    """Their mean is over the steps that have them, and one that is not finite is found. Watched numbers give their largest value."""
    window = Window("fp32")
    window.add({"a": torch.tensor(1.0), ROUNDTRIP: torch.tensor(1e-6)})
    window.add({"a": torch.tensor(2.0), "b": torch.tensor(4.0), ROUNDTRIP: torch.tensor(3e-6)})
    window.add({"a": torch.tensor(6.0), "b": torch.tensor(5.0), ROUNDTRIP: torch.tensor(2e-6)})
    numbers, steps, _ = window.read(3)
    assert (numbers["a"], numbers["b"], steps) == (3.0, 4.5, 3)
    assert numbers[ROUNDTRIP] == pytest.approx(3e-6)
    window.add({"a": torch.tensor(1.0)})
    window.add({"a": torch.tensor(1.0), "b": torch.tensor(float("nan"))})
    with pytest.raises(DivergedError, match="b is nan at step 5"):
        window.read(5)
