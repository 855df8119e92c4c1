"""train-gan: from an autoencoder and a map of its codes, or from noise; and what draws from what it writes."""

from dataclasses import replace

import pytest
import torch
from fid_files import Notes

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.methods import aeotgan
from genrev_cli.methods.gan_losses import LOSSES
from genrev_cli.runs.resume import run_folder
from genrev_cli.runs.train import train
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.flow import FitFlowOptions
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.settings.sampling import Draw, SamplerFile
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.transport_map import FitOtOptions
from genrev_cli.stages.encode import encode
from genrev_cli.stages.fit_flow import fit_flow
from genrev_cli.stages.fit_ot import fit_ot
from genrev_cli.stages.train_gan import train_gan
from genrev_cli.store.drawing import Drawing, draw_images
from genrev_cli.store.samplers import open_model
from genrev_cli.training import distributed

pytestmark = pytest.mark.usefixtures("coarse_maps")

CPU = torch.device("cpu")
RUN = RunOptions(device="cpu", log_every=1)
RECIPE = """
[model]
name = "infogan"
width = 4
{encoder}
[prior]
name = "active-gaussian"
dim = 3
bound = 0.0
choose = "first"
[pretrain-recon]
image_norm = "l2"
weight_z = 0.0
weight_code = 1e-3
batch = 8
steps = 4
[train-gan]
weight_content = {paired}
weight_feature = {paired}
batch = 8
steps = 10
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "gan.toml"
    path.write_text(RECIPE.format(encoder="", paired=1.0))
    return str(path)


@pytest.fixture
def noise(tmp_path):
    path = tmp_path / "noise.toml"
    path.write_text(RECIPE.format(encoder="encoder = false", paired=0.0))
    return str(path)


@pytest.fixture
def start(data, recipe, tmp_path):
    """An autoencoder, and the map of its 22 codes."""
    ckpt = train(PRETRAIN_RECON, data, tmp_path / "ae.safetensors", recipe=recipe, overrides={}, run=RUN).out
    codes = encode(ckpt, tmp_path / "codes.h5", EncodeSettings(device="cpu")).out
    options = FitOtOptions(target_error=0.5, precision="fp32", device="cpu")
    return ckpt, SamplerFile(fit_ot(codes, tmp_path / "ot.safetensors", options).out, "ot")


@pytest.fixture
def gan(start):
    """(out, **settings) → one call of train-gan on them."""
    ckpt, ot = start

    def run(out, *, run=RUN, ot=ot, **settings):
        return train_gan(out, ckpt=ckpt, sampler=ot, overrides={"train-gan": settings}, run=run)

    return run


def weights(path):
    return read_checkpoint(path)[1]


@pytest.mark.parametrize("settings", [{}, {"ema_halflife_images": 20}, {"generator_updates": 2}], ids=str)
def test_five_steps_and_five_more_equal_ten(gan, tmp_path, settings):
    whole, broken = gan(tmp_path / "whole.safetensors", **settings).out, tmp_path / "broken.safetensors"
    gan(broken, steps=5, **settings)
    gan(broken, **settings)
    states = [run_folder(path) / "state.safetensors" for path in (whole, broken)]
    for mine, theirs in ((weights(whole), weights(broken)), map(weights, states)):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_discriminator_that_wins_is_named_once(start, tmp_path, monkeypatch):
    monkeypatch.setattr(aeotgan, "WINS", -1.0)
    (ckpt, ot), notes = start, Notes()
    train_gan(tmp_path / "gan.safetensors", ckpt=ckpt, sampler=ot, overrides={"train-gan": {"steps": 4}}, run=RUN, progress=notes)
    assert sum("the discriminator tells generated images from real ones (D is 0." in note for note in notes.said) == 1
    assert "more --generator-updates" in notes


def test_the_generator_starts_as_the_autoencoder(start, gan, tmp_path):
    """A learning rate of 0 and no step in training mode is what no step would be: the decoder's own samples along the map."""
    ckpt, ot = start
    out = gan(tmp_path / "gan.safetensors", steps=1, lr=0.0).out
    own, trained = open_model(ckpt, CPU, ot), open_model(out, CPU, ot)
    for name, tensor in own.autoencoder.named_parameters():
        assert torch.equal(tensor, dict(trained.autoencoder.named_parameters())[name]), name
    trained.autoencoder.load_state_dict(own.autoencoder.state_dict())
    a, b = (draw_images(model.autoencoder, Drawing(model.prior, Draw(), CPU), range(4)) for model in (own, trained))
    assert torch.equal(a, b)


def test_the_checkpoint_has_the_generator_and_not_the_map(start, gan, tmp_path):
    ckpt, _ = start
    out = gan(tmp_path / "gan.safetensors").out
    header, before, after = read_checkpoint_header(out), weights(ckpt), weights(out)
    assert header.config["prior"]["name"] == "active-gaussian"
    assert header.inputs.keys() == {"ckpt", "data", "ot"}
    assert before.keys() == after.keys()
    assert {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])} == {"generator"}
    state = weights(run_folder(out) / "state.safetensors")
    assert not [name for name in state if "codes" in name]


def test_a_map_with_another_rule_is_another_map(start, gan, tmp_path):
    """The maps' tensors are the same, and what they draw is not."""
    _, ot = start
    options = FitOtOptions(target_error=0.5, precision="fp32", device="cpu", rule="nearest")
    nearest = SamplerFile(fit_ot(tmp_path / "codes.h5", tmp_path / "nearest.safetensors", options).out, "ot")
    assert read_checkpoint_header(nearest.path).sha256 == read_checkpoint_header(ot.path).sha256
    gan(tmp_path / "gan.safetensors", steps=1)
    with pytest.raises(UsageError, match=r"other settings \(.*ot\.rule: barycentric → nearest"):
        gan(tmp_path / "gan.safetensors", ot=nearest)


@pytest.fixture
def flow(start, tmp_path):
    """A flow of the autoencoder's codes."""
    options = FitFlowOptions(steps=5, batch=8, width=16, blocks=1, solver_steps=2, device="cpu")
    return SamplerFile(fit_flow(tmp_path / "codes.h5", tmp_path / "flow.safetensors", options).out, "flow")


def test_codes_can_be_drawn_from_a_flow(start, gan, flow, tmp_path):
    """The flow is not trained, and neither the checkpoint nor the state has it; five steps and five more equal ten."""
    whole, broken, before = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors", weights(flow.path)
    gan(whole, ot=flow)
    gan(broken, ot=flow, steps=5)
    gan(broken, ot=flow)
    assert all(torch.equal(weights(broken)[name], tensor) for name, tensor in weights(whole).items())
    assert all(torch.equal(weights(flow.path)[name], tensor) for name, tensor in before.items())
    assert read_checkpoint_header(whole).inputs.keys() == {"ckpt", "data", "flow"}
    assert not [name for name in weights(run_folder(whole) / "state.safetensors") if "network" in name]
    assert open_model(whole, CPU, flow).drawn_from == "flow"
    ot = weights(gan(tmp_path / "along-map.safetensors").out)
    assert any(not torch.equal(ot[name], tensor) for name, tensor in weights(whole).items())


def test_a_flow_with_another_solver_is_another_flow(gan, flow, tmp_path):
    gan(tmp_path / "gan.safetensors", ot=flow, steps=1)
    with pytest.raises(UsageError, match=r"other settings \(.*flow\.solver: heun → euler"):
        gan(tmp_path / "gan.safetensors", ot=replace(flow, solver="euler"), steps=2)


def test_another_models_map_is_refused(start, gan, recon, tmp_path):
    out = gan(tmp_path / "gan.safetensors", steps=1).out
    _, ot = start
    assert open_model(out, CPU, ot).drawn_from == "ot"
    other = recon(tmp_path / "other.safetensors", steps=1, recipe=str(tmp_path / "gan.toml")).out
    with pytest.raises(FileError, match="was fitted to codes of"):
        train_gan(tmp_path / "x.safetensors", ckpt=other, sampler=ot, overrides={}, run=RUN)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_runs(gan, tmp_path, loss):
    assert gan(tmp_path / "gan.safetensors", steps=2, loss=loss).numbers["steps"] == 2


def test_a_batch_that_cannot_be_split_is_refused(gan, tmp_path, monkeypatch):
    """Each process needs whole parts: one real code and three generated ones."""
    monkeypatch.setattr(distributed, "size", lambda: 4)
    with pytest.raises(UsageError, match="a batch of 20 cannot be split over 4 processes; choose a multiple of 16"):
        gan(tmp_path / "a.safetensors", batch=20)


def test_from_noise(data, noise, tmp_path):
    result = train_gan(tmp_path / "gan.safetensors", data=data, recipe=noise, overrides={}, run=RUN)
    assert "pixel_swd" in result.numbers
    model = open_model(result.out, CPU)
    assert draw_images(model.autoencoder, Drawing(model.prior, Draw(), CPU), range(3)).shape == (3, 1, 8, 8)
    with pytest.raises(UsageError, match="has no encoder"):
        encode(result.out, tmp_path / "codes.h5", EncodeSettings(device="cpu"))


def test_a_reversible_network_can_be_the_generator(data, tmp_path):
    path = tmp_path / "rev.toml"
    path.write_text(
        '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 4 }]\n[prior]\nname = "active-gaussian"\ndim = 4\nbound = 0.0\n'
        "[train-gan]\nbatch = 8\nsteps = 3\n"
    )
    result = train_gan(tmp_path / "gan.safetensors", data=data, recipe=str(path), overrides={}, run=RUN)
    assert result.numbers["roundtrip_max"] < 1e-5
    assert encode(result.out, tmp_path / "codes.h5", EncodeSettings(device="cpu")).numbers["dim"] == 4


@pytest.mark.parametrize("said", [{}, {"generated_per_real": 4}], ids=str)
def test_a_gan_starts_from_a_checkpoint_of_any_recipe(perceptual, tmp_path, said):
    """What another stage trained is a start too: all is by default, and of as many images as can be split."""
    ckpt, out = perceptual(tmp_path / "pga.safetensors", steps=1).out, tmp_path / "gan.safetensors"
    train_gan(out, ckpt=ckpt, overrides={"train-gan": {**said, "steps": 1}} if said else {}, run=replace(RUN, dry_run=not said))
    numbers = train_gan(out, ckpt=ckpt, overrides={"train-gan": said}, run=replace(RUN, dry_run=True)).numbers
    assert numbers["schedule"]["batch"] == (65 if said else 64)


def test_networks_that_cannot_be_trained_are_refused(start, data, recipe, noise, tmp_path):
    ckpt, ot = start
    out = tmp_path / "x.safetensors"
    for said, call in {
        "give --ckpt to train from an autoencoder, or --data": {},
        "draws a checkpoint's codes": {"data": data, "sampler": ot},
        "its encoder is not trained without --ckpt": {"data": data, "recipe": recipe},
        "weight_content and weight_feature": {"data": data, "recipe": noise, "overrides": {"train-gan": {"weight_content": 1.0}}},
        "multiple of 4": {"ckpt": ckpt, "overrides": {"train-gan": {"batch": 6}}},
    }.items():
        with pytest.raises(UsageError, match=said):
            train_gan(out, **{"overrides": {}, "run": RUN, **call})
    assert not out.exists()


def test_dry_run(gan, tmp_path):
    numbers = gan(tmp_path / "gan.safetensors", run=replace(RUN, dry_run=True)).numbers
    assert numbers["steps"] == 10
    assert not (tmp_path / "gan.safetensors").exists()
