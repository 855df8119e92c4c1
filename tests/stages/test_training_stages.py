"""Training stages: the same result however often they are interrupted, and an error for inputs that do not fit."""

import copy
import functools
import os
import re
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genrev_cli.cli import main
from genrev_cli.errors import DivergedError, InterruptedRun, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header, write_checkpoint
from genrev_cli.files.lock import locked
from genrev_cli.files.pictures import read_picture
from genrev_cli.methods.reconstruction import Reconstruction
from genrev_cli.progress import Progress, Task
from genrev_cli.runs.resume import run_folder
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.training.log import read_log

RUN = RunOptions(device="cpu", log_every=1)
UNTIMED = {"seconds": None, "images_per_second": None}
OFTEN = replace(RUN, monitor_every=5, preview_every=5)


class Listener(Progress):
    """Records notes, and sends this process a signal when a bar reaches `at`."""

    def __init__(self, at=None, number=signal.SIGTERM):
        self.notes, self.at, self.number = [], at, number

    def note(self, message):
        self.notes.append(message)

    @contextmanager
    def task(self, title, total, unit="images", done=0):
        listener, position = self, [done]

        class Bar(Task):
            def advance(self, units=1, **numbers):
                position[0] += units
                if position[0] == listener.at:
                    os.kill(os.getpid(), listener.number)

        yield Bar()


def state_of(out):
    return run_folder(out) / "state.safetensors"


def assert_same_weights(a, b):
    (first, mine), (second, theirs) = read_checkpoint(a), read_checkpoint(b)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert (first.sha256, first.step) == (second.sha256, second.step)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """Return a folder for results that several tests compare with."""
    return tmp_path_factory.mktemp("straight")


@pytest.fixture
def straight(shelf, stage, request):
    """Return a function settings → the checkpoint of ten steps without interruption."""

    def run(**settings):
        out = shelf / f"{request.node.callspec.params['stage']} {settings}.safetensors"
        return out if out.exists() else stage(out, **settings).out

    return run


@pytest.mark.parametrize("settings", [{}, {"ema_halflife_images": 20}, {"seed": 3}], ids=str)
def test_five_steps_and_five_more_equal_ten(tmp_path, stage, straight, settings):
    out = tmp_path / "out.safetensors"
    stage(out, steps=5, **settings)
    listener = Listener()
    stage(out, progress=listener, **settings)
    assert listener.notes == [f"resuming {out} at step 5 of 10"]
    assert_same_weights(out, straight(**settings))
    assert_same_weights(state_of(out), state_of(straight(**settings)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_run_saves_its_state(tmp_path, stage, straight, number):
    out = tmp_path / "out.safetensors"
    with pytest.raises(InterruptedRun, match=r"^stopped after step 4 of 10; the state is saved") as error:
        stage(out, progress=Listener(3, number))  # the current step is finished
    assert error.value.exit_code == 130
    assert not out.exists()
    assert read_checkpoint_header(state_of(out)).step == 4
    stage(out)
    assert_same_weights(out, straight())
    losses = [
        [{**record, **UNTIMED} for record in read_log(run_folder(path) / "log.jsonl") if record["kind"] == "loss"]
        for path in (out, straight())
    ]
    assert losses[0] == losses[1]
    assert [record["step"] for record in losses[0]] == list(range(1, 11))


def test_the_state_is_enough_for_the_checkpoint(tmp_path, stage, straight):
    out = tmp_path / "out.safetensors"
    stage(out)
    out.unlink()
    stage(out)
    assert_same_weights(out, straight())


@pytest.mark.parametrize("there", [True, False])
def test_a_longer_run_is_not_cut_to_fewer_steps(tmp_path, recon, there):
    """A checkpoint of ten steps is never presented as one of five."""
    out = tmp_path / "out.safetensors"
    recon(out)
    weights = read_checkpoint(out)[1]
    if not there:
        out.unlink()
    assert recon(out, steps=5).numbers["steps"] == 10
    header, found = read_checkpoint(out)
    assert header.step == 10
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_a_finished_run_does_nothing(tmp_path, stage):
    out = tmp_path / "out.safetensors"
    stage(out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    listener = Listener()
    assert stage(out, progress=listener).numbers["steps"] == 10
    assert "is complete (10 steps); nothing to do" in listener.notes[0]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("without_state", [True, False])
def test_changed_settings_are_named(tmp_path, recon, without_state):
    out = tmp_path / "out.safetensors"
    recon(out, steps=5)
    if without_state:
        state_of(out).unlink()
    with pytest.raises(UsageError) as error:
        recon(out, seed=1, lr=1e-4)
    assert re.search(r"was made with other settings \(method.lr: 0.001 → 0.0001, schedule.seed: 0 → 1\); use --restart", str(error.value))
    assert read_checkpoint_header(out).step == 5


def test_a_recipe_that_spells_out_a_default_means_the_same(tmp_path, recon, recipe):
    out, spelled = tmp_path / "out.safetensors", tmp_path / "spelled.toml"
    recon(out, steps=2)
    spelled.write_text(Path(recipe).read_text().replace("dim = 4", "dim = 4\nbound = 2.0"))
    assert recon(out, recipe=str(spelled)).numbers["steps"] == 10


def begun_before(path, *keys):
    """Write the file as an earlier version did, without some keys."""
    header, tensors = read_checkpoint(path)
    config = copy.deepcopy(header.config)
    for key in keys:
        *tables, last = key.split(".")
        table = functools.reduce(dict.__getitem__, tables, config["identity"])
        assert last in table, f"{key} is no setting any more"
        del table[last]
    write_checkpoint(path, tensors, replace(header, config=config))


KEYS = (
    *("method.image_norm", "method.one_sided", "method.weight_code", "method.code_norm", "method.mmd_widths", "prior.choose"),
    *("schedule.precision", "schedule.lr_drop_epochs", "schedule.lr_drop_factors", "schedule.lr_halflife_epochs"),
)


@pytest.mark.parametrize("without_state", [False, True])
def test_a_run_older_than_a_setting_resumes(tmp_path, recon, without_state):
    """The setting's default is what that run did."""
    straight, out = recon(tmp_path / "straight.safetensors").out, tmp_path / "out.safetensors"
    recon(out, steps=10 if without_state else 5)
    if without_state:
        state_of(out).unlink()
    else:
        begun_before(state_of(out), *KEYS)
    begun_before(out, *KEYS)
    listener = Listener()
    recon(out, progress=listener)
    assert f"{out} is complete" in listener.notes[0] if without_state else listener.notes == [f"resuming {out} at step 5 of 10"]
    assert_same_weights(out, straight)


def test_a_run_older_than_a_setting_is_refused_for_another_value(tmp_path, recon):
    out = tmp_path / "out.safetensors"
    recon(out, steps=5)
    begun_before(state_of(out), "method.image_norm", "method.lr")
    with pytest.raises(UsageError, match=r"other settings \(method.image_norm: l1 → l2, method.lr: 0.0001 → 0.001\); use --restart"):
        recon(out, image_norm="l2")


def test_every_stage_has_defaults_of_all_its_settings(tmp_path, stage):
    out = tmp_path / "out.safetensors"
    stage(out, steps=2)
    method = read_checkpoint_header(state_of(out)).config["identity"]["method"]
    begun_before(state_of(out), "method.betas" if "betas" in method else "method.weight_prior", "schedule.precision")
    listener = Listener()
    stage(out, steps=4, progress=listener)
    assert listener.notes == [f"resuming {out} at step 2 of 4"]


def test_restart_discards_the_earlier_run(tmp_path, stage, straight):
    out = tmp_path / "out.safetensors"
    stage(out, seed=1)
    stage(out, run=replace(OFTEN, restart=True))
    assert_same_weights(out, straight())
    records = read_log(run_folder(out) / "log.jsonl")
    assert [(record["step"], record["kind"]) for record in records if record["kind"] == "monitor"] == [
        (step, "monitor") for step in (0, 5, 10)
    ]


@pytest.mark.parametrize("stage", ["recon"], indirect=True)
def test_a_checkpoint_of_other_settings_is_not_taken_for_a_finished_run(tmp_path, stage, straight):
    """A restart with another seed is killed between its last state and its checkpoint."""
    out = tmp_path / "out.safetensors"
    stage(out)
    old = out.read_bytes()
    stage(out, seed=1, run=replace(RUN, restart=True))
    out.write_bytes(old)
    stage(out, seed=1)
    assert_same_weights(out, straight(seed=1))


@pytest.mark.parametrize(
    "cadence", [{"log_every": 7, "monitor_every": 3, "preview_every": 100}, {"resident_megabytes": 0}, {"save_minutes": 1e-9}], ids=str
)
def test_options_of_the_run_do_not_change_the_result(tmp_path, stage, straight, cadence):
    stage(tmp_path / "out.safetensors", run=replace(RUN, **cadence))
    assert_same_weights(tmp_path / "out.safetensors", straight())


def test_divergence_keeps_the_last_good_state(tmp_path, recon, monkeypatch):
    step = Reconstruction.step

    def second_diverges(self, x, labels, generator):
        scalars = step(self, x, labels, generator)
        return scalars if self.now == 1 else {**scalars, "L_x": scalars["L_x"] / 0}

    monkeypatch.setattr(Reconstruction, "begin", lambda self, step: setattr(self, "now", step))
    monkeypatch.setattr(Reconstruction, "step", second_diverges)
    out = tmp_path / "out.safetensors"
    diverging = {"run": replace(RUN, save_minutes=1e-9)}
    with pytest.raises(DivergedError, match=r"^L_x is inf at step 2; .*--restart") as error:
        recon(out, **diverging)
    assert error.value.exit_code == 4
    assert not out.exists()
    header, tensors = read_checkpoint(state_of(out))
    assert header.step == 1
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    before = state_of(out).read_bytes()
    with pytest.raises(DivergedError, match="at step 2"):
        recon(out, **diverging)
    assert state_of(out).read_bytes() == before


def test_exit_code_of_divergence(tmp_path, data, recipe, capsys):
    words = [
        "pretrain-recon",
        "--data",
        str(data),
        "--recipe",
        recipe,
        "--out",
        str(tmp_path / "a.safetensors"),
        "--lr",
        "1e30",
        "--device",
        "cpu",
    ]
    assert main(words) == 4
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert len(stderr.splitlines()) == 1


def test_dry_run_writes_nothing(tmp_path, stage):
    before = sorted(tmp_path.rglob("*"))
    numbers = stage(tmp_path / "new" / "out.safetensors", steps=7, run=replace(RUN, dry_run=True)).numbers
    assert sorted(tmp_path.rglob("*")) == before
    network = 2 * (2 * 8 * 9 + 8 + 8 * 2 * 9 + 2)
    adversary = 4 * 8 + 8 + 16 * 8 + 8 + 8 + 1
    gaussians = 2 * 64
    encoder = (4 * 25 + 4) + (64 * 8 + 2 * 8) + (8 * 3 + 3)  # convolution, dense with batch norm, μ
    decoder = (3 * 8 + 8) + (8 * 64 + 2 * 4) + (4 * 25 + 1)
    scales, discriminator = 8 * 3 + 3, (3 * 8 + 8) + 3 * (8 * 8 + 8) + (8 + 1)
    strided = (encoder + decoder + scales, encoder + decoder + discriminator)
    assert numbers["parameters"] in (network, network + adversary, network + gaussians, *strided)
    assert numbers["steps"] == 7


@pytest.mark.parametrize(("epochs", "steps"), [(1, 3), (2.5, 7), (4, 11), (0, 0)])
def test_epochs(tmp_path, recon, epochs, steps):
    """There are 22 images, in batches of 8."""
    assert recon(tmp_path / "a.safetensors", steps=0, epochs=epochs, run=replace(RUN, dry_run=True)).numbers["steps"] == steps


def test_a_run_leaves_its_checkpoint_log_and_previews(tmp_path, data, stage):
    out = tmp_path / "out.safetensors"
    numbers = stage(out, run=OFTEN).numbers
    checkpoint = load_checkpoint(out, torch.device("cpu"))
    assert not any(parameter.requires_grad for parameter in checkpoint.autoencoder.parameters())
    assert not checkpoint.autoencoder.training
    assert {"l1_restricted", "roundtrip_mean", "roundtrip_max", "max_abs_z", "relative_swd"} <= numbers.keys()
    assert numbers["roundtrip_max"] < 1e-5 or not checkpoint.autoencoder.bijective
    assert checkpoint.header.inputs["data"]["path"] == str(data)
    assert (checkpoint.header.made_by["seed"], checkpoint.header.made_by["device"]) == (0, "cpu")
    names = {path.name for path in (run_folder(out) / "previews").iterdir()}
    assert names == {f"step-{step:07d}-{kind}.png" for step in (5, 10) for kind in ("samples", "recon")}
    assert read_picture(run_folder(out) / "previews" / "step-0000010-recon.png")[0].step == 10


def test_ema_weights_are_those_of_the_checkpoint(tmp_path, recon):
    plain, averaged = (recon(tmp_path / f"{halflife}.safetensors", ema_halflife_images=halflife).out for halflife in (0, 20))
    (_, a), (_, b), (_, state) = read_checkpoint(plain), read_checkpoint(averaged), read_checkpoint(state_of(averaged))
    for name in (name for name in a if name.startswith("autoencoder.")):
        assert not torch.equal(a[name], b[name])
        assert torch.equal(a[name], state[f"module.{name}"])  # averaging does not change the training
        assert torch.equal(b[name], state[f"ema.{name}"])


def test_two_runs_on_one_target(recon, tmp_path):
    """The second one is refused before it reads or writes anything, also when the first has finished its steps."""
    out = recon(tmp_path / "a.safetensors", steps=2).out
    before = out.read_bytes()
    with locked(run_folder(out) / "lock", out), pytest.raises(UsageError, match=f"process {os.getpid()} on .* is writing it"):
        recon(out, steps=4)
    assert out.read_bytes() == before
    assert recon(out, steps=4).numbers["steps"] == 4
    assert not (run_folder(out) / "lock").exists()


def test_a_time_limit_stops_and_the_same_command_resumes(stage, tmp_path):
    whole = stage(tmp_path / "whole.safetensors", steps=6).out
    out = tmp_path / "parts.safetensors"
    for _ in range(3):
        with pytest.raises(InterruptedRun, match="the same command goes on from there"):
            stage(out, steps=6, run=replace(RUN, time_limit=1e-9))
    assert read_checkpoint_header(state_of(out)).step == 3
    stage(out, steps=6)
    assert read_checkpoint_header(out).sha256 == read_checkpoint_header(whole).sha256
