"""--tracker: what the log and the previews get, once for each step, also after a kill; and no tracker ends a run."""

import json
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from genrev_cli.errors import InterruptedRun, UnavailableError
from genrev_cli.files.pictures import read_picture
from genrev_cli.methods.reconstruction import Reconstruction
from genrev_cli.runs import trackers
from genrev_cli.runs.resume import run_folder
from genrev_cli.runs.trackers import ADAPTERS, Adapter, Run, Tracker
from genrev_cli.settings.schedule import TRACKERS, RunOptions
from genrev_cli.training import distributed
from genrev_cli.training.log import read_log

RUN = RunOptions(device="cpu", log_every=1, monitor_every=4, preview_every=4, tracker="tensorboard")


class Recorder(Adapter):
    """Keeps what it gets."""

    runs: list = []  # noqa: RUF012 (emptied by the fixture)

    def __init__(self, run):
        self.run, self.got, self.shown, self.closed = run, [], [], False
        self.runs.append(self)

    def numbers(self, step, values):
        self.got.append((step, dict(values)))

    def pictures(self, step, pictures):
        self.shown.append((step, dict(pictures)))

    def close(self):
        self.closed = True


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setitem(ADAPTERS, "tensorboard", Recorder)
    monkeypatch.setattr(trackers, "require_tracker", lambda name: None)
    monkeypatch.setattr(Recorder, "runs", [])
    return Recorder


def test_it_gets_what_the_log_and_the_previews_get(recon, tmp_path, recorder):
    out = recon(tmp_path / "a.safetensors", steps=6, run=RUN).out
    (one,) = recorder.runs
    lines = [
        (line["step"], {f"{line['kind']}/{name}": value for name, value in line.items() if name not in ("step", "kind", "seconds")})
        for line in read_log(run_folder(out) / "log.jsonl")
    ]
    assert one.got == lines
    assert {name.partition("/")[0] for _, values in one.got for name in values} == {"loss", "monitor"}
    assert [(step, sorted(pictures)) for step, pictures in one.shown] == [(step, ["preview/recon", "preview/samples"]) for step in (4, 6)]
    picture = read_picture(run_folder(out) / "previews/step-0000006-samples.png")[1]
    assert (one.shown[1][1]["preview/samples"] == picture.transpose(1, 2, 0)).all()
    assert one.shown[1][1]["preview/samples"].shape[2] == 3
    assert (one.closed, one.run.start, one.run.name) == (True, 0, "a")
    json.dumps(one.run.settings)


def killed_and_resumed(recon, out, monkeypatch, steps=8):
    """Stop after step 1 with a saved state, die in step 6 without one, and go on to the end."""
    with pytest.raises(InterruptedRun):
        recon(out, steps=steps, run=replace(RUN, time_limit=1e-9))
    real, count = Reconstruction.step, [0]

    def dies(self, *values):
        count[0] += 1
        if count[0] == 5:
            raise RuntimeError("killed")
        return real(self, *values)

    with monkeypatch.context() as patch:
        patch.setattr(Reconstruction, "step", dies)
        with pytest.raises(RuntimeError, match="killed"):
            recon(out, steps=steps, run=RUN)
    recon(out, steps=steps, run=RUN)


def test_no_step_is_sent_twice(recon, tmp_path, monkeypatch, recorder):
    killed_and_resumed(recon, tmp_path / "a.safetensors", monkeypatch)
    assert len({one.run.ident for one in recorder.runs}) == 1
    assert [one.run.start for one in recorder.runs] == [0, 1, 1]
    for kind in ("loss", "monitor"):
        steps = [step for one in recorder.runs for step, values in one.got if next(iter(values)).startswith(kind)]
        wanted = [line["step"] for line in read_log(tmp_path / "a.safetensors.run/log.jsonl") if line["kind"] == kind]
        assert steps == wanted
    assert [step for one in recorder.runs for step, _ in one.shown] == [4, 8]


def test_a_restart_is_a_new_run(recon, tmp_path, recorder):
    for seed in (0, 1):
        recon(tmp_path / "a.safetensors", steps=2, seed=seed, run=replace(RUN, restart=True))
    first, second = recorder.runs
    assert first.run.ident != second.run.ident
    assert [step for step, _ in second.got] == [step for step, _ in first.got]


@pytest.mark.parametrize("where", ["__init__", "numbers", "pictures", "close"])
def test_a_failure_does_not_end_the_run(recon, tmp_path, monkeypatch, recorder, notes, where, capfd):
    def fails(*_):
        print("chatter")
        raise ConnectionError("no route to host")

    monkeypatch.setattr(Recorder, where, fails)
    assert recon(tmp_path / "a.safetensors", steps=4, run=RUN, progress=notes).numbers["steps"] == 4
    said = "--tracker tensorboard: ConnectionError: no route to host; the run goes on without it"
    assert [note for note in notes.said if "tracker" in note] == [said]
    assert capfd.readouterr().out == ""  # stdout is the result


def test_only_the_first_process_tracks(recon, tmp_path, monkeypatch, recorder):
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    recon(tmp_path / "a.safetensors", steps=1, run=RUN)
    assert recorder.runs == []


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package(recon, tmp_path, monkeypatch, name):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=f"--tracker {name}: the package {name} is not installed; run 'pip install {name}'"):
        recon(tmp_path / "a.safetensors", steps=1, run=replace(RUN, tracker=name))
    assert not list(tmp_path.glob("a.*"))


def test_the_choices_are_the_adapters():
    assert tuple(ADAPTERS) == TRACKERS


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_what_was_written(recon, tmp_path, monkeypatch):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "a.safetensors"
    killed_and_resumed(recon, out, monkeypatch)
    events = accumulators.EventAccumulator(str(run_folder(out) / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    lines = [line for line in read_log(run_folder(out) / "log.jsonl") if line["kind"] == "loss"]
    found = {event.step: event.value for event in events.Scalars("loss/L_x")}
    assert len(events.Scalars("loss/L_x")) == len(found) == 8
    assert found == pytest.approx({line["step"]: line["L_x"] for line in lines})
    assert [event.step for event in events.Images("preview/samples")] == [4, 8]
    recon(out, steps=2, seed=1, run=replace(RUN, restart=True))
    fresh = accumulators.EventAccumulator(str(run_folder(out) / "tensorboard"))
    fresh.Reload()
    assert [event.step for event in fresh.Scalars("loss/L_x")] == [1, 2]


def fake(monkeypatch, name, **members):
    """A module in the place of a tracker's package; it keeps the calls."""
    calls, module = [], ModuleType(name)
    for member in ("init", "log", "finish"):
        setattr(module, member, lambda *words, _member=member, **options: calls.append((_member, words, options)))
    for member, value in members.items():
        setattr(module, member, value)
    monkeypatch.setitem(sys.modules, name, module)
    return module, calls


def followed(name, tmp_path, said):
    """Send a line to a tracker, end it, and return the notes."""
    tracker = Tracker(name, tmp_path / "model.safetensors", tmp_path, {"lr": 1.0}, start=0, note=said.append)
    tracker.record(3, "loss", {"L_x": 0.5, "split": "val"})
    tracker._adapter.pictures(3, {"preview/samples": np.zeros((2, 2, 3), np.uint8)})
    tracker.close()


def test_trackio_gets_its_calls(tmp_path, monkeypatch):
    _, calls = fake(monkeypatch, "trackio", Image=lambda pixels: ("image", pixels.shape))
    said = []
    followed("trackio", tmp_path, said)
    assert said == []
    (_, (project, name), options), *rest = calls
    assert (project, name[:6], options["resume"], options["config"]) == ("genrev", "model-", "allow", {"lr": 1.0})
    assert rest == [
        ("log", ({"loss/L_x": 0.5},), {"step": 3}), ("log", ({"preview/samples": ("image", (2, 2, 3))},), {"step": 3}), ("finish", (), {}),
    ]  # fmt: skip


def test_wandb_gets_its_calls(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    module, calls = fake(monkeypatch, "wandb", Image=lambda pixels: ("image", pixels.shape), Settings=SimpleNamespace)
    opened = []
    module.init = lambda **options: opened.append(options) or module
    said = []
    followed("wandb", tmp_path, said)
    assert said == []
    memory = json.loads((tmp_path / "tracker.json").read_text())
    assert opened[0]["id"] == memory["ident"]
    assert (opened[0]["project"], opened[0]["name"], opened[0]["resume"], opened[0]["dir"]) == ("genrev", "model", "allow", str(tmp_path))
    assert memory["sent"] == {"loss": 3}
    assert calls == [
        ("log", ({"loss/L_x": 0.5},), {"step": 3}), ("log", ({"preview/samples": ("image", (2, 2, 3))},), {"step": 3}), ("finish", (), {}),
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["", "[]", "{", '{"tracker": "wandb", "ident": "x", "sent": {"loss": 9}}'])
def test_a_memory_of_something_else_begins_anew(tmp_path, recorder, content):
    (tmp_path / "tracker.json").write_text(content)
    Tracker("tensorboard", tmp_path / "m.safetensors", tmp_path, {}, start=5, note=print).record(1, "loss", {"L": 1.0})
    (one,) = recorder.runs
    assert isinstance(one.run, Run)
    assert (one.run.start, one.got) == (0, [(1, {"loss/L": 1.0})])
