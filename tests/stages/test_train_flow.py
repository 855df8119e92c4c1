"""train-flow: it learns, resumes to the bit, and `fid --metrics bpd` measures what its monitor did."""

import math
from dataclasses import replace

import pytest
import torch

from genrev_cli.config import from_table, read_recipe
from genrev_cli.errors import UsageError
from genrev_cli.files.checkpoint import read_checkpoint
from genrev_cli.progress import SILENT
from genrev_cli.runs.resume import run_folder
from genrev_cli.runs.train import train
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.fid import FidOptions
from genrev_cli.settings.likelihood import TRAIN_FLOW
from genrev_cli.settings.sampling import Draw
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.store.drawing import Drawing, draw_images
from genrev_cli.training.log import read_log

RUN = RunOptions(device="cpu", log_every=1)

TINY = """
[model]
name = "inn"
levels = [{ couplings = 1, hidden = 4 }]
hidden_dense = 4
[prior]
name = "diagonal-gaussian"
[train-flow]
lr = 1e-2
batch = 8
steps = 10
"""


@pytest.fixture
def flow(tmp_path, data):
    """(out, **settings) → one call of train-flow with a tiny network."""
    recipe = tmp_path / "flow.toml"
    recipe.write_text(TINY)

    def run(out, *, run=RUN, data=data, **settings):
        return train(TRAIN_FLOW, data, out, recipe=str(recipe), overrides={"train-flow": settings}, run=run)

    return run


def bits(ckpt, data, **changes):
    return measure(None, FidOptions(str(data), "val", metrics=("bpd",), ckpt=ckpt, device="cpu", **changes), SILENT).numbers


def test_training_improves_the_model(tmp_path, learnable, flow):
    out = tmp_path / "flow.safetensors"
    numbers = flow(out, data=learnable, steps=40, batch=50, run=replace(RUN, monitor_every=40)).numbers
    first, last = (line["bits_per_dim"] for line in read_log(run_folder(out) / "log.jsonl") if line["kind"] == "monitor")
    assert last < first
    assert last == pytest.approx(numbers["bits_per_dim"])
    found = bits(out, learnable)
    assert found["metric"] == "bits_per_dim"
    assert found["value"] == pytest.approx(last, abs=0.05)  # another draw of the noise, on the same images
    assert found["bits_per_dim_standard_error"] > 0
    assert (found["n"], found["split"]) == (100, "val")
    assert bits(out, learnable) == found
    assert bits(out, learnable, seed=1)["value"] != found["value"]


def test_five_steps_and_five_more_equal_ten(tmp_path, flow):
    straight, broken = tmp_path / "straight.safetensors", tmp_path / "broken.safetensors"
    flow(straight, ema_halflife_images=20)
    flow(broken, steps=5, ema_halflife_images=20)
    flow(broken, ema_halflife_images=20)
    (_, a), (_, b) = read_checkpoint(straight), read_checkpoint(broken)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_moving_average_covers_the_prior(tmp_path, flow):
    (_, plain), (_, averaged) = (read_checkpoint(flow(tmp_path / f"{h}.safetensors", ema_halflife_images=h).out) for h in (0, 20))
    assert not torch.equal(plain["prior.log_std"], averaged["prior.log_std"])


def test_temperature_zero_is_the_mean(tmp_path, flow):
    model = load_checkpoint(flow(tmp_path / "flow.safetensors").out, torch.device("cpu"))
    with torch.no_grad():
        cold = draw_images(model.autoencoder, Drawing(model.prior, Draw(temperature=0.0), torch.device("cpu")), range(3))
        mean = model.autoencoder.decode(model.prior.mean[None])
    torch.testing.assert_close(cold, mean.expand_as(cold))
    assert Drawing(model.prior, Draw(), torch.device("cpu")).codes(range(3)).std() > 0


def test_rates_drop_by_ten(tmp_path, flow):
    """After the drop Adam's steps are a tenth as long: with drops at 0 and 0 they are a hundredth from the start."""
    start, whole, slow = (
        read_checkpoint(flow(tmp_path / f"{i}.safetensors", **settings).out)[1]
        for i, settings in enumerate(({"lr": 0.0}, {"steps": 1}, {"steps": 1, "lr_drop_epochs": [0.0, 0.0]}))
    )
    moved, crept = ((other["prior.mean"] - start["prior.mean"]).abs().max().item() for other in (whole, slow))
    assert crept == pytest.approx(moved / 100, rel=1e-3)
    assert moved > 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"lr_drop_epochs": [30, 50]}, [1, 1, 0.1, 0.1, 0.01]),
        ({"lr_drop_epochs": [30, 50], "lr_drop_factors": [2, 5]}, [1, 1, 0.5, 0.5, 0.1]),  # 'manual' in wae.py of tolstikhin/wae
        ({"lr_halflife_epochs": 10}, [1, 0.5**2.99, 0.125, 0.5**4.99, 1 / 32]),
        ({"lr_halflife_epochs": 10, "lr_drop_epochs": [50], "lr_drop_factors": [4]}, [1, 0.5**2.99, 0.125, 0.5**4.99, 1 / 128]),
    ],
)
def test_rates_of_a_schedule(settings, expected):
    schedule = from_table(Schedule, settings, "here")
    assert [schedule.rate(epoch) for epoch in (0, 29.9, 30, 49.9, 50)] == pytest.approx(expected, rel=1e-12)


def test_a_half_life_can_be_the_authors_smooth_schedule():
    """'manual_smooth' in wae.py divides by 100^(1/50) in each of 50 epochs."""
    schedule = Schedule(lr_halflife_epochs=7.526)
    assert [schedule.rate(epoch) for epoch in (1, 25, 50)] == pytest.approx([100 ** (-1 / 50), 0.1, 0.01], rel=1e-3)


@pytest.mark.parametrize("factors", [[2], [2, 5, 10], [2, 0], [2, -1]])
def test_each_drop_needs_its_factor(factors):
    with pytest.raises(UsageError, match=r"here: lr_drop_factors = .*; give a number above 0 for each of lr_drop_epochs = \[30.0, 50.0\]"):
        from_table(Schedule, {"lr_drop_epochs": [30, 50], "lr_drop_factors": factors}, "here")


@pytest.mark.parametrize("name", ["wae-mmd-mnist", "wae-gan-mnist", "wae-mmd-celeba64", "wae-gan-celeba64"])
def test_wae_recipes_have_the_released_schedule(name):
    table = read_recipe(name)["train-vae"]
    assert (table["lr_drop_epochs"], table["lr_drop_factors"]) == ([30, 50], [2, 5])


def test_the_learning_rate_drops_at_its_epoch(tmp_path, flow):
    """22 images in batches of 8: epoch 1 is reached after 2.75 steps, so the fourth is the first slow one."""
    early, late = (
        read_checkpoint(flow(tmp_path / f"{steps}-{drops}.safetensors", steps=steps, lr_drop_epochs=drops).out)[1]
        for steps, drops in ((3, []), (3, [1.0]))
    )
    assert all(torch.equal(early[name], late[name]) for name in early)
    early, late = (
        read_checkpoint(flow(tmp_path / f"{steps}-{drops}.safetensors", steps=steps, lr_drop_epochs=drops).out)[1]
        for steps, drops in ((4, []), (4, [1.0]))
    )
    assert not all(torch.equal(early[name], late[name]) for name in early)


def test_models_without_a_likelihood(model, data):
    with pytest.raises(UsageError, match="a likelihood needs a prior over all"):
        bits(model, data)


def test_uniform_noise_has_eight_bits():
    from genrev_cli.methods.likelihood import bits_per_dim

    assert bits_per_dim(torch.zeros(1), 3).item() == 8
    assert bits_per_dim(torch.tensor(-3 * math.log(2.0)), 3).item() == pytest.approx(9)
