"""GANs from noise, the rivals in Table 1 of AE-OT-GAN: recipes for their data sets, and the settings of each loss's authors."""

import json
from dataclasses import replace

import pytest

from genrev_cli.config import read_recipe, recipe_names
from genrev_cli.errors import UsageError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.methods.aeotgan import AEOTGAN
from genrev_cli.recipes.built_in import built_in
from genrev_cli.settings.aeotgan import AUTHORS, LOSSES, settings_of_loss
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.stages.train_gan import train_gan

RUN = RunOptions(device="cpu", log_every=1)
DRY = replace(RUN, dry_run=True)
SOURCES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32), "celeba": (3, 64, 64)}
NAMES = {"celeba": "gan-celeba64", ("celeba", "wgan-qc"): "gan-celeba64-qc"}
PAPERS = ("gan-cifar10", "gan-cifar10-resnet", "gan-celeba64", "gan-celeba64-resnet", "gan-celeba64-qc")


def plain(settings):
    """Return settings as a header has them."""
    return json.loads(json.dumps(settings))


@pytest.fixture
def plan(write_images, tmp_path):
    """(source, **settings) → the dry run of train-gan from noise on images of a source."""

    def run(source, recipe="", size="", **settings):
        data = write_images(tmp_path / f"{source}.h5", SOURCES[source], (20, 4, 4), source=source)
        return train_gan(
            tmp_path / "x.safetensors", data=data, recipe=recipe, size=size, overrides={"train-gan": settings}, run=DRY
        ).numbers

    return run


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("source", SOURCES)
def test_every_loss_finds_a_recipe(plan, source, loss):
    found = plan(source, loss=loss)
    name, method = found["recipe"], found["method"]
    assert name == NAMES.get((source, loss), NAMES.get(source, f"gan-{source}"))
    assert method["loss"] == loss
    own = read_recipe(name)["train-gan"]["loss"]
    if loss != own:
        assert {key: method[key] for key in AUTHORS[loss]} == plain(AUTHORS[loss])
        assert plain(found["from_loss"]) == plain(AUTHORS[loss])
    else:
        assert "from_loss" not in found


@pytest.mark.parametrize(
    ("loss", "lr", "betas", "updates"),
    [
        ("wgan-gp", 1e-4, [0.0, 0.9], 5),  # Gulrajani et al. 2017, Algorithm 1
        ("hinge-sn", 2e-4, [0.0, 0.9], 5),  # Miyato et al. 2018, section 4.1
        ("wgan-div", 2e-4, [0.0, 0.9], 4),
        ("wgan-qc", 1e-4, [0.5, 0.999], 1),
    ],
)
def test_settings_of_the_authors(plan, loss, lr, betas, updates):
    method = plan("mnist", loss=loss)["method"]
    assert [method[key] for key in ("lr", "lr_discriminator", "betas", "betas_discriminator")] == [lr, lr, betas, betas]
    assert (method["discriminator_updates"], method["generator_updates"]) == (updates, 1)


@pytest.mark.parametrize("name", PAPERS)
def test_recipes_of_papers_have_the_authors_settings(name):
    table = read_recipe(name)["train-gan"]
    assert {key: table[key] for key in AUTHORS[table["loss"]]} == plain(AUTHORS[table["loss"]])
    assert set(PAPERS) == {one for one in recipe_names() if built_in(one).family == "gan"} - {"gan-digits", "gan-mnist"}


def test_options_come_before_the_settings_of_the_loss(plan):
    found = plan("mnist", loss="wgan-gp", lr=3e-4, discriminator_updates=2)
    assert (found["method"]["lr"], found["method"]["discriminator_updates"], found["method"]["lr_discriminator"]) == (3e-4, 2, 1e-4)
    assert found["from_loss"].keys() == AUTHORS["wgan-gp"].keys() - {"lr", "discriminator_updates"}


def test_a_recipe_for_the_loss_keeps_its_settings(plan, tmp_path):
    """A table belongs to its loss: a file that says loss = "wgan-gp" is taken as it is, and one for another loss is not."""
    path = tmp_path / "my.toml"
    path.write_text(
        '[model]\nname = "infogan"\nwidth = 2\nencoder = false\n[prior]\nname = "active-gaussian"\ndim = 3\nbound = 0.0\n'
        '[train-gan]\nloss = "wgan-gp"\nlr = 0.5\nbatch = 8\nsteps = 2\n'
    )
    for settings, lr in ({}, 0.5), ({"loss": "wgan-gp"}, 0.5), ({"loss": "hinge-sn"}, 2e-4):
        assert plan("digits", recipe=str(path), **settings)["method"]["lr"] == lr


def test_a_rule_gets_the_settings_too(plan):
    found = plan("mnist", size="small", loss="wgan-gp")
    assert found["recipe"].startswith("rule gan (small)")
    assert {key: found["method"][key] for key in AUTHORS["wgan-gp"]} == plain(AUTHORS["wgan-gp"])


def test_an_unknown_loss_is_refused(plan):
    assert settings_of_loss({}, {"loss": "lsgan"}) == {}
    with pytest.raises(UsageError, match="--loss lsgan: choose vanilla, hinge-sn"):
        plan("mnist", loss="lsgan")


@pytest.mark.parametrize(
    ("settings", "D", "G"),
    [
        ({"loss": "wgan-gp"}, 5, 1),
        ({"loss": "wgan-div"}, 4, 1),
        ({"discriminator_updates": 2}, 2, 1),
        ({"generator_updates": 3}, 1, 3),
        ({"discriminator_updates": 2, "generator_updates": 3}, 2, 3),
    ],
    ids=str,
)
def test_a_step_has_so_many_updates(data, tmp_path, monkeypatch, settings, D, G):
    """Both directions are possible: several updates of D for one of G, and several of G for one of D."""
    made = []
    for name in ("_update_D", "_update_G"):
        real = getattr(AEOTGAN, name)
        monkeypatch.setattr(AEOTGAN, name, lambda *args, name=name, real=real: (made.append(name), real(*args))[1])
    overrides = {"train-gan": {**settings, "batch": 4, "steps": 1}}
    out = train_gan(tmp_path / "gan.safetensors", data=data, overrides=overrides, run=RUN).out
    assert made == ["_update_D"] * D + ["_update_G"] * G
    header = read_checkpoint_header(out)
    assert header.config.get("from_loss", {}) == plain(AUTHORS[settings["loss"]] if "loss" in settings else {})
    assert header.config["recipe_tables"] == read_recipe("gan-digits")


def test_a_run_from_before_losses_brought_settings_goes_on(data, tmp_path, monkeypatch, notes):
    """It keeps the recipe's rates; a new run, or --restart, takes those of the loss."""
    out = tmp_path / "gan.safetensors"

    def run(steps, **options):
        overrides = {"train-gan": {"loss": "wgan-gp", "batch": 4, "steps": steps}}
        numbers = train_gan(out, data=data, overrides=overrides, run=replace(RUN, **options), progress=notes).numbers
        return numbers["steps"], read_checkpoint_header(out).config["method"]["lr"]

    with monkeypatch.context() as before:
        before.setattr("genrev_cli.stages.train_gan.settings_of_loss", lambda table, asked: {})
        own = run(1)
    assert own == (1, read_recipe("gan-digits")["train-gan"]["lr"])
    assert run(2) == (2, own[1])
    assert "resuming" in notes
    assert run(2, restart=True) == (2, AUTHORS["wgan-gp"]["lr"])
    assert run(3) == (3, AUTHORS["wgan-gp"]["lr"])


def test_what_the_loss_brought_is_noted(data, tmp_path, notes):
    train_gan(tmp_path / "x.safetensors", data=data, overrides={"train-gan": {"loss": "wgan-gp"}}, run=DRY, progress=notes)
    assert "--loss wgan-gp: lr = 0.0001, lr_discriminator = 0.0001, betas = [0.0, 0.9], " in notes
    assert "discriminator_updates = 5, generator_updates = 1 are those of its authors; gan-digits is for another loss" in notes


def test_every_loss_has_authors():
    assert tuple(AUTHORS) == LOSSES
