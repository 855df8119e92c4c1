"""The training stages: the same result however often they are stopped, and no result from what does not fit."""

import os
import re
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from genrev_cli.cli import main
from genrev_cli.errors import DivergedError, FileError, InterruptedRun, UnavailableError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import read_picture, write_json
from genrev_cli.progress import Progress, Task
from genrev_cli.stages.checkpoints import load_checkpoint
from genrev_cli.stages.pretrain_recon import pretrain_recon
from genrev_cli.stages.train_adversarial import train_adversarial
from genrev_cli.stages.training import RunOptions, run_folder
from genrev_cli.training import distributed
from genrev_cli.training.log import read_log

RUN = RunOptions(device="cpu", log_every=1, monitor_every=5, preview_every=5)


class Listener(Progress):
    """Remembers notes, and sends this process a signal when a bar comes to `at`."""

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


@pytest.fixture
def recon(data, recipe):
    """(out, **settings) → one call of pretrain-recon."""

    def run(out, *, run=RUN, progress=None, data=data, recipe=recipe, **settings):
        return pretrain_recon(data, out, recipe=recipe, overrides={"pretrain-recon": settings}, run=run, progress=progress or Listener())

    return run


@pytest.fixture
def adversarial(tmp_path, recon):
    """(out, **settings) → one call of train-adversarial on a network that was pretrained for two steps."""
    ckpt = recon(tmp_path / "start.safetensors", steps=2).out

    def run(out, *, run=RUN, progress=None, ckpt=ckpt, data=None, recipe="", **settings):
        overrides = {"train-adversarial": settings}
        return train_adversarial(ckpt, out, data=data, recipe=recipe, overrides=overrides, run=run, progress=progress or Listener())

    return run


@pytest.fixture(params=["recon", "adversarial"])
def stage(request):
    """Every training stage."""
    return request.getfixturevalue(request.param)


def state_of(out):
    return run_folder(out) / "state.safetensors"


def assert_same_weights(a, b):
    (first, mine), (second, theirs) = read_checkpoint(a), read_checkpoint(b)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert (first.sha256, first.step) == (second.sha256, second.step)


@pytest.fixture
def straight(tmp_path, stage):
    """settings → the checkpoint of ten steps without interruption."""
    return lambda **settings: stage(tmp_path / "straight.safetensors", **settings).out


@pytest.mark.parametrize("settings", [{}, {"ema_halflife_images": 20}, {"seed": 3}], ids=str)
def test_five_and_five_are_ten(tmp_path, stage, straight, settings):
    out = tmp_path / "out.safetensors"
    stage(out, steps=5, **settings)
    listener = Listener()
    stage(out, progress=listener, **settings)
    assert listener.notes == [f"resuming {out} at step 5 of 10"]
    assert_same_weights(out, straight(**settings))
    assert_same_weights(state_of(out), state_of(tmp_path / "straight.safetensors"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle(tmp_path, stage, straight, number):
    out = tmp_path / "out.safetensors"
    with pytest.raises(InterruptedRun, match=r"^stopped after step 4 of 10; the state is saved") as error:
        stage(out, progress=Listener(3, number))  # the step under way is finished
    assert error.value.exit_code == 130
    assert not out.exists()
    assert read_checkpoint_header(state_of(out)).step == 4
    stage(out)
    assert_same_weights(out, straight())
    losses = [
        [(record["step"], record["L_x"]) for record in read_log(run_folder(path) / "log.jsonl") if record["kind"] == "loss"]
        for path in (out, straight())
    ]
    assert losses[0] == losses[1]
    assert [step for step, _ in losses[0]] == list(range(1, 11))


def test_the_state_is_enough_for_the_checkpoint(tmp_path, stage, straight):
    out = tmp_path / "out.safetensors"
    stage(out)
    out.unlink()
    stage(out)
    assert_same_weights(out, straight())


@pytest.mark.parametrize("there", [True, False])
def test_fewer_steps_than_were_done(tmp_path, recon, there):
    """What ten steps trained is never called the work of five."""
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


def test_restart(tmp_path, stage, straight):
    out = tmp_path / "out.safetensors"
    stage(out, seed=1)
    stage(out, run=replace(RUN, restart=True))
    assert_same_weights(out, straight())
    records = read_log(run_folder(out) / "log.jsonl")
    assert [(record["step"], record["kind"]) for record in records if record["kind"] == "monitor"] == [
        (step, "monitor") for step in (0, 5, 10)
    ]


def test_a_checkpoint_of_other_settings_is_not_taken_for_a_finished_run(tmp_path, recon, straight_recon):
    """A restart with another seed that was killed between its last state and its checkpoint."""
    out = tmp_path / "out.safetensors"
    recon(out)
    old = out.read_bytes()
    recon(out, seed=1, run=replace(RUN, restart=True))
    out.write_bytes(old)
    recon(out, seed=1)
    assert_same_weights(out, straight_recon(seed=1))


@pytest.fixture
def straight_recon(tmp_path, recon):
    return lambda **settings: recon(tmp_path / "straight.safetensors", **settings).out


@pytest.mark.parametrize(
    "cadence", [{"log_every": 7, "monitor_every": 3, "preview_every": 100}, {"resident_megabytes": 0}, {"save_minutes": 1e-9}], ids=str
)
def test_how_it_runs_does_not_change_the_result(tmp_path, stage, straight, cadence):
    stage(tmp_path / "out.safetensors", run=replace(RUN, **cadence))
    assert_same_weights(tmp_path / "out.safetensors", straight())


def test_divergence_keeps_the_last_good_state(tmp_path, recon):
    out = tmp_path / "out.safetensors"
    diverging = {"lr": 1e30, "run": replace(RUN, save_minutes=1e-9)}
    with pytest.raises(DivergedError, match=r"^L_\w is (nan|inf) at step 2; .*--restart") as error:
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
    assert numbers["parameters"] in (network, network + adversary)
    assert numbers["steps"] == 7


@pytest.mark.parametrize(("epochs", "steps"), [(1, 3), (2.5, 7), (4, 11), (0, 0)])
def test_epochs(tmp_path, recon, epochs, steps):
    """22 images in batches of 8."""
    assert recon(tmp_path / "a.safetensors", steps=0, epochs=epochs, run=replace(RUN, dry_run=True)).numbers["steps"] == steps


def test_what_a_run_leaves(tmp_path, data, stage):
    out = tmp_path / "out.safetensors"
    numbers = stage(out).numbers
    checkpoint = load_checkpoint(out, torch.device("cpu"))
    assert not any(parameter.requires_grad for parameter in checkpoint.autoencoder.parameters())
    assert not checkpoint.autoencoder.training
    assert {"l1_restricted", "roundtrip_mean", "roundtrip_max", "max_abs_z", "relative_swd"} <= numbers.keys()
    assert numbers["roundtrip_max"] < 1e-5
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
        assert torch.equal(b[name], state[name.replace("autoencoder.", "ema.")])


def refused(error, match, call, *words, **options):
    with pytest.raises(error, match=match) as caught:
        call(*words, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["start.safetensors", "picture.png", "result.json", "missing.h5"])
def test_wrong_files_as_data(tmp_path, recon, adversarial, name):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    write_json(tmp_path / "result.json", {"fid": 1}, Header("score", {}, ""))
    for call in (recon, adversarial):
        refused(
            FileError, f"^{tmp_path / name}: (not a readable HDF5|no such file)", call, tmp_path / "a.safetensors", data=tmp_path / name
        )
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data.h5", "not a readable safetensors"),
        ("start.safetensors.run/state.safetensors", "kind 'state' where 'checkpoint' is needed"),
        ("no", "no such file"),
    ],
)
def test_wrong_files_as_checkpoint(tmp_path, adversarial, name, said):
    refused(FileError, said, adversarial, tmp_path / "a.safetensors", ckpt=tmp_path / name)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 8)])
def test_images_of_another_size(tmp_path, adversarial, write_images, shape):
    other = write_images(tmp_path / "other.h5", shape)
    said = f"other.h5: images are {'×'.join(map(str, shape))}, .*start.safetensors takes 1×8×8"
    refused(FileError, said, adversarial, tmp_path / "a.safetensors", data=other)


def test_data_that_changed_or_went(tmp_path, adversarial, data, write_images):
    out = tmp_path / "a.safetensors"
    write_images(data, seed=9)
    refused(FileError, "data.h5: is not what .*start.safetensors was trained on .*give --data", adversarial, out)
    adversarial(out, data=data, steps=1)
    data.unlink()
    refused(FileError, "was trained on .*data.h5, which is not there any more; give --data", adversarial, tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"lrr": 1.0}, UsageError, r"tiny.toml \[[\w-]+\]: unknown key 'lrr'; did you mean 'lr'\?"),
        ({"batch": 0}, UsageError, "a batch of at least 1"),
        ({"precision": "fp16"}, UsageError, "--precision fp16: choose fp32 or bf16"),
        ({"lr": -1.0}, UsageError, "lr ≥ 0"),
        ({"recipe": "grn-digit"}, UsageError, "no such recipe; did you mean 'grn-digits'"),
        ({"run": RunOptions(device="gpu")}, UsageError, "--device gpu: choose auto, cpu, cuda or cuda:N"),
        ({"run": RunOptions(device="cuda:99")}, UnavailableError, "--device cuda:99: this machine has"),
    ],
    ids=str,
)
def test_unusable_settings(tmp_path, stage, settings, error, said):
    out = tmp_path / "a.safetensors"
    refused(error, said, stage, out, **settings)
    assert not out.exists()
    assert not run_folder(out).exists()


def test_a_batch_that_cannot_be_dealt_out(tmp_path, stage, monkeypatch):
    """Not even where a step of two mini-batches of 3 could be: half of each process's 3 rows would not be a mini-batch."""
    monkeypatch.setattr(distributed, "size", lambda: 2)
    refused(UsageError, "a batch of 3 cannot be split over 2 processes", stage, tmp_path / "a.safetensors", batch=3)


def test_output_that_is_no_checkpoint(tmp_path, stage):
    refused(UsageError, "a.pt: a checkpoint's name ends in .safetensors", stage, tmp_path / "a.pt")
    (tmp_path / "theirs.safetensors").write_bytes(b"not ours")
    refused(FileError, "theirs.safetensors: not a readable safetensors file", stage, tmp_path / "theirs.safetensors")


def test_an_incomplete_recipe(tmp_path, recon):
    (tmp_path / "half.toml").write_text("[model]\nname = 'revnet'\nscales = []\n")
    refused(UsageError, r"half.toml: has no table \[prior\]", recon, tmp_path / "a.safetensors", recipe=str(tmp_path / "half.toml"))


def test_a_source_without_a_recipe(tmp_path, recon, write_images):
    refused(
        UsageError,
        "no one recipe for data from 'folder'",
        recon,
        tmp_path / "a.safetensors",
        data=write_images(tmp_path / "f.h5", source="folder"),
        recipe="",
    )
