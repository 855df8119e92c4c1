"""--init: training begins with the network, prior and weights of a checkpoint, and resumes like any other run."""

import pytest
import torch

from genrev_cli.cli import main
from genrev_cli.errors import UsageError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.runs.train import train
from genrev_cli.settings.perceptual import TRAIN_PGA
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.transport import TRAIN_OT
from genrev_cli.settings.variational import TRAIN_VAE

RUN = RunOptions(device="cpu", log_every=1)


@pytest.fixture
def other(tmp_path, write_images):
    """Another set of images of the same shape."""
    return write_images(tmp_path / "other.h5", counts=(30, 4, 4), seed=5)


def weights(path):
    return {name: tensor for name, tensor in read_checkpoint(path)[1].items() if name.startswith(("autoencoder", "prior"))}


def alike(a, b):
    """Compare weights, without the running averages of batch norm, which every step changes."""
    a, b = ({name: tensor for name, tensor in one.items() if "running" not in name and "num_batches" not in name} for one in (a, b))
    return a.keys() == b.keys() and all(torch.allclose(a[name], b[name], rtol=0, atol=1e-25) for name in a)


@pytest.fixture
def warm(other):
    """(trainer, init, out, **settings) → one call of the trainer on the other images, from a checkpoint."""

    def run(trainer, init, out, *, tables=None, recipe="", run=RUN, data=other, progress=None, **settings):
        overrides = {trainer.name: settings, **(tables or {})}
        more = {"progress": progress} if progress else {}
        return train(trainer, data, out, recipe=recipe, init=init, overrides=overrides, run=run, **more)

    return run


CASES = {"recon": PRETRAIN_RECON, "transport": TRAIN_OT, "perceptual": TRAIN_PGA, "variational": TRAIN_VAE}


@pytest.mark.parametrize("name", CASES)
def test_it_starts_from_the_weights_of_the_checkpoint(tmp_path, request, warm, name):
    """With a learning rate of almost 0 one step leaves them there; a fresh start is somewhere else. The variant is the checkpoint's."""
    stage, trainer = request.getfixturevalue(name), CASES[name]
    init = stage(tmp_path / "init.safetensors", steps=3).out
    out = warm(trainer, init, tmp_path / "warm.safetensors", steps=1, lr=1e-30).out
    fresh = stage(tmp_path / "fresh.safetensors", steps=1, lr=1e-30, seed=1).out
    assert alike(weights(init), weights(out))
    assert not alike(weights(init), weights(fresh))
    header, before = read_checkpoint_header(out), read_checkpoint_header(init)
    assert header.inputs["init"]["sha256"] == before.sha256
    assert header.config["model"] == before.config["model"]
    assert header.config["recipe_tables"] == before.config["recipe_tables"]
    assert header.config["method"].get("variant") == before.config["method"].get("variant")


def test_it_differs_from_a_fresh_start_and_resumes_to_the_bit(tmp_path, recon, warm):
    init = recon(tmp_path / "init.safetensors", steps=3).out
    whole = warm(PRETRAIN_RECON, init, tmp_path / "whole.safetensors", steps=4, batch=5, lr=1e-3).out
    part = tmp_path / "part.safetensors"
    warm(PRETRAIN_RECON, init, part, steps=2, batch=5, lr=1e-3)
    warm(PRETRAIN_RECON, init, part, steps=4, batch=5, lr=1e-3)
    assert read_checkpoint_header(whole).sha256 == read_checkpoint_header(part).sha256
    assert not alike(weights(whole), weights(init))


def test_the_average_of_weights_starts_there_too(tmp_path, recon, warm):
    init = recon(tmp_path / "init.safetensors", steps=3).out
    out = warm(PRETRAIN_RECON, init, tmp_path / "warm.safetensors", steps=1, lr=1e-30, ema_halflife_images=1000).out
    assert alike(weights(init), weights(out))


def test_a_run_does_not_go_on_from_another_start(tmp_path, recon, warm):
    first, second = (recon(tmp_path / f"{i}.safetensors", steps=2, seed=i).out for i in range(2))
    out = tmp_path / "warm.safetensors"
    warm(PRETRAIN_RECON, first, out, steps=2)
    with pytest.raises(UsageError, match=r"was made with other settings \(inputs\.init: "):
        warm(PRETRAIN_RECON, second, out, steps=3)
    with pytest.raises(UsageError, match=r"inputs\.init: .* → None"):
        recon(out, steps=3)


def test_a_network_of_another_command_trains_on(tmp_path, adversarial, warm):
    """The recipe of train-adversarial's checkpoint has a table of pretrain-recon, which is used."""
    init = adversarial(tmp_path / "adversarial.safetensors", steps=2).out
    out = warm(PRETRAIN_RECON, init, tmp_path / "warm.safetensors", steps=1, lr=1e-30).out
    assert alike(weights(init), weights(out))
    assert read_checkpoint_header(out).config["stage"] == "pretrain-recon"


def test_another_recipe_gives_the_settings_and_not_the_network(tmp_path, recon, warm):
    init = recon(tmp_path / "init.safetensors", steps=2).out
    other = tmp_path / "other.toml"
    other.write_text('[model]\nname = "dense"\n[prior]\nname = "active-gaussian"\ndim = 2\n[pretrain-recon]\nbatch = 7\nsteps = 1\n')
    header = read_checkpoint_header(warm(PRETRAIN_RECON, init, tmp_path / "w.safetensors", recipe=str(other)).out)
    assert header.config["schedule"]["batch"] == 7
    assert header.config["model"]["name"] == "revnet"
    assert header.config["prior"]["dim"] == 4


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ({"prior": {"dim": 3}}, r"\[prior\] dim = 3: contradicts --init .*init\.safetensors, which has dim = 4; leave one of the two out"),
        ({"model": {"exact_bits": 12}}, r"\[model\] exact_bits = 12: contradicts --init"),
    ],
)
def test_options_that_contradict_the_checkpoint_are_named(tmp_path, recon, warm, tables, error):
    init = recon(tmp_path / "init.safetensors", steps=2).out
    with pytest.raises(UsageError, match=error):
        warm(PRETRAIN_RECON, init, tmp_path / "w.safetensors", tables=tables)
    assert warm(PRETRAIN_RECON, init, tmp_path / "w.safetensors", tables={"prior": {"dim": 4}}, steps=1).out.exists()


def test_another_number_of_classes_is_refused(tmp_path, data, write_images, warm):
    recipe = tmp_path / "classes.toml"
    recipe.write_text(
        '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 8, kernel = 3 }]\n'
        '[prior]\nname = "class-gaussians"\n[train-ot]\nbatch = 20\nsteps = 1\n'
    )
    many = write_images(tmp_path / "many.h5", counts=(200, 4, 4))
    init = train(TRAIN_OT, many, tmp_path / "init.safetensors", recipe=str(recipe), overrides={}, run=RUN).out
    with pytest.raises(UsageError, match=r"has \[prior\] classes = 10, and the training images of .* have [2-9]"):
        warm(TRAIN_OT, init, tmp_path / "w.safetensors", data=write_images(tmp_path / "few.h5", counts=(4, 1, 1)))


@pytest.fixture
def run(capsys):
    """Run a command: its exit code, stdout and stderr."""

    def command(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return command


def test_the_command(tmp_path, recon, other, run, write_images):
    init, out = recon(tmp_path / "init.safetensors", steps=2).out, tmp_path / "warm.safetensors"
    words = ("pretrain-recon", "--init", init, "--out", out, "--device", "cpu")
    code, _, err = run(*words, "--data", other, "--steps", 2, "--batch", 6, "--lr", 1e-4)
    assert code == 0, err
    assert f"--init {init}: network, prior and weights are those of the checkpoint; settings are those of" in err
    code, _, err = run(*words, "--data", other, "--dims", 3)
    assert code == 2
    assert "[prior] dim = 3: contradicts --init" in err
    code, _, err = run(*words, "--data", other, "--size-of-model", "small")
    assert code == 2
    assert "--size-of-model small: is for a fresh network, and --init" in err
    code, _, err = run(*words, "--data", write_images(tmp_path / "wide.h5", shape=(1, 8, 10)))
    assert code == 3
    assert "images are 1×8×10" in err
    code, _, err = run(*words, "--data", other, "--dry-run", "--restart")
    assert code == 0
    code, _, err = run("info", out)
    assert code == 0
    code, _, err = run("pretrain-recon", "--init", tmp_path / "gone.safetensors", "--data", other, "--out", tmp_path / "x.safetensors")
    assert (code, "gone.safetensors: no such file" in err) == (3, True)
    code, _, err = run("pretrain-recon", "--init", init, "--data", other, "--out", init)
    assert code == 2
    assert "is an input of the same command" in err


def test_a_gan_from_noise_trains_on(tmp_path, data, other, run):
    recipe = tmp_path / "gan.toml"
    recipe.write_text(
        '[model]\nname = "dcgan"\nencoder = false\nwidth = 2\n'
        '[prior]\nname = "active-gaussian"\ndim = 4\nbound = 0.0\nchoose = "first"\n'
        "[train-gan]\nweight_content = 0.0\nweight_feature = 0.0\nbatch = 8\nsteps = 2\n"
    )
    init, out, fast = tmp_path / "gan.safetensors", tmp_path / "warm.safetensors", ("--device", "cpu")
    code, _, err = run("train-gan", "--data", data, "--recipe", recipe, "--out", init, *fast)
    assert code == 0, err
    code, _, err = run("train-gan", "--data", other, "--init", init, "--out", out, "--lr", 1e-30, "--steps", 1, *fast)
    assert code == 0, err
    assert alike(weights(init), weights(out))
    code, _, err = run("train-gan", "--data", other, "--init", init, "--ckpt", init, "--out", out, *fast)
    assert code == 2
    assert "already gives the weights to start from; leave one of them out" in err
