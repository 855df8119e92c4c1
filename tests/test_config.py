"""Dataclasses from tables, recipes, and an error for each mistake in them."""

import math
import re
import tomllib
from dataclasses import dataclass

import pytest

from genrev_cli.config import defaults_of, from_table, overlaid, read_recipe, recipe_names, split_table, table_of
from genrev_cli.errors import FileError, UsageError
from genrev_cli.latents import build_prior
from genrev_cli.runs.resume import differences
from genrev_cli.seeds import derive
from genrev_cli.settings.reconstruction import ReconstructionConfig
from genrev_cli.settings.schedule import Schedule


@dataclass(frozen=True)
class Inner:
    size: int
    kernel: int = 3


@dataclass(frozen=True)
class Outer:
    lr: float
    name: str = "a"
    flag: bool = False
    pair: tuple[float, float] = (0.0, 0.9)
    parts: tuple[Inner, ...] = ()
    maybe: int | None = None


@dataclass(frozen=True)
class Either:
    one: float | tuple[float, ...] = 0.0


@dataclass(frozen=True)
class Other:
    batch: int = 8


@pytest.mark.parametrize(("given", "made"), [(2, 2.0), (0.5, 0.5), ([1, 2], (1.0, 2.0)), ([], ())])
def test_a_number_or_a_list_of_numbers(given, made):
    found = from_table(Either, {"one": given}, "here").one
    assert (found, type(found)) == (made, type(made))


@pytest.mark.parametrize(("given", "said"), [("a", "here: one: must be float, not 'a'"), ([1, "b"], "one[1]: must be float, not 'b'")])
def test_neither_a_number_nor_a_list(given, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        from_table(Either, {"one": given}, "here")


def test_nested_tables_become_nested_dataclasses():
    table = {"lr": 1, "pair": [0, 1], "parts": [{"size": 2}, {"size": 3, "kernel": 1}], "maybe": 4}
    made = from_table(Outer, table, "here")
    assert made == Outer(1.0, pair=(0.0, 1.0), parts=(Inner(2), Inner(3, 1)), maybe=4)
    assert type(made.lr) is type(made.pair[0]) is float


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "here: key 'lr' is missing"),
        ({"lr": 1.0, "nme": "b"}, "here: unknown key 'nme'; did you mean 'name'?"),
        ({"lr": 1.0, "zzzzz": 1}, "here: unknown key 'zzzzz'; known keys: lr, name, flag, pair, parts, maybe"),
        ({"lr": "fast"}, "here: lr: must be float, not 'fast'"),
        ({"lr": True}, "here: lr: must be float, not True"),
        ({"lr": 1.0, "flag": 1}, "here: flag: must be bool, not 1"),
        ({"lr": 1.0, "name": 3}, "here: name: must be str, not 3"),
        ({"lr": 1.0, "pair": [0.0]}, "here: pair: must have 2 values, not 1"),
        ({"lr": 1.0, "pair": 3}, "here: pair: must be a list, not 3"),
        ({"lr": 1.0, "parts": [3]}, "here: parts[0]: must be a table, not 3"),
        ({"lr": 1.0, "parts": [{"size": 1}, {"size": 1.5}]}, "here: parts[1]: size: must be int, not 1.5"),
        ({"lr": 1.0, "maybe": "x"}, "here: maybe: must be int, not 'x'"),
        ({"lr": None}, "here: lr: must be float, not None"),
    ],
)
def test_the_error_names_the_mistake(table, message):
    with pytest.raises(UsageError) as error:
        from_table(Outer, table, "here")
    assert str(error.value) == message


def test_split_table_gives_each_dataclass_its_keys():
    assert split_table({"lr": 2, "batch": 4}, "here", Other, Outer) == (Other(4), Outer(2.0))
    with pytest.raises(UsageError, match="unknown key 'bach'; did you mean 'batch'"):
        split_table({"lr": 2, "bach": 4}, "here", Other, Outer)


def test_overlaid_replaces_values_in_a_copy():
    recipe = {"a": {"x": 1, "y": 2}, "b": {"z": 3}}
    assert overlaid(recipe, {"a": {"y": 5}, "c": {"w": 6}, "b": {}}) == {"a": {"x": 1, "y": 5}, "b": {"z": 3}, "c": {"w": 6}}
    assert recipe == {"a": {"x": 1, "y": 2}, "b": {"z": 3}}


@pytest.mark.parametrize(
    ("recipe", "options", "said"),
    [
        ({"eps": -1.0}, {}, "own.toml [pretrain-recon]: eps = -1; must be at least 0"),
        ({}, {"eps": -1.0}, "--adam-eps -1: must be at least 0"),
        ({"eps": -1.0}, {"eps": -2.0}, "--adam-eps -2: must be at least 0"),
        ({"eps": -1.0}, {"lr": 1.0}, "own.toml [pretrain-recon]: eps = -1; must be at least 0"),
        ({}, {"betas": (0.0, math.nan)}, "--betas: must be a finite number, not nan"),
        ({"betas": [0.0, math.nan]}, {}, "own.toml [pretrain-recon]: betas[1]: must be a finite number, not nan"),
        ({"hue": 1}, {}, "own.toml [pretrain-recon]: unknown key 'hue'; known keys: "),
        ({}, {"warm_up": 2}, "--warm-up 2: own.toml [pretrain-recon] has no key 'warm_up' (known keys: "),
    ],
)
def test_an_error_names_the_recipe_or_the_option_that_set_the_key(recipe, options, said):
    tables = overlaid({"pretrain-recon": recipe}, {"pretrain-recon": options})
    with pytest.raises(UsageError) as error:
        split_table(tables["pretrain-recon"], "own.toml [pretrain-recon]", Schedule, ReconstructionConfig)
    assert str(error.value).startswith(said)


def test_an_error_of_a_constructor_names_the_option_too():
    recipe = {"prior": {"name": "active-gaussian", "dim": 9}}
    for overrides, said in (({}, "own.toml [prior]: dim = 9; "), ({"prior": {"dim": 9}}, "--dims 9: ")):
        with pytest.raises(UsageError) as error:
            build_prior(overlaid(recipe, overrides)["prior"] | {"latent_dim": 8}, "own.toml [prior]")
        assert str(error.value) == f"{said}the latent has 8 dimensions; choose 1 to 8"


def test_table_of_returns_a_table_or_an_error():
    assert table_of({"a": {"x": 1}}, "a", "r") == {"x": 1}
    for recipe, message in (({}, "r: has no table [a]"), ({"a": 3}, "r: a is not a table")):
        with pytest.raises(UsageError, match=re.escape(message)):
            table_of(recipe, "a", "r")


@pytest.mark.parametrize("name", recipe_names())
def test_built_in_recipes_can_be_read(name):
    """Every table can be built: a network, a prior on its latent, the settings of a stage."""
    from genrev_cli.latents import takes_classes
    from genrev_cli.models import MODELS, sized
    from genrev_cli.settings.adversarial import AdversarialConfig
    from genrev_cli.settings.aeotgan import AEOTGANConfig
    from genrev_cli.settings.classification import ClassificationConfig
    from genrev_cli.settings.trainers import TRAINERS

    def trained_by(trainer):
        variant = read_recipe(name).get(trainer.name, {}).get("variant", "")
        return trainer.variants[variant if variant in trainer.variants else next(iter(trainer.variants))].settings

    methods = {
        **{trainer.name: trained_by(trainer) for trainer in TRAINERS.values()},
        "train-adversarial": AdversarialConfig,
        "train-gan": AEOTGANConfig,
        "fit-features": ClassificationConfig,
    }
    recipe = read_recipe(name)
    stages = recipe.keys() & methods.keys()
    assert stages
    for stage in stages:
        schedule, method = split_table(recipe[stage], name, Schedule, methods[stage])
        assert {**vars(schedule), **vars(method)}.keys() >= recipe[stage].keys()
        assert all(0 < drop < schedule.epochs for drop in schedule.lr_drop_epochs)
    if stages != {"fit-features"}:
        classes = {"classes": 10} if takes_classes(recipe["prior"]) else {}
        prior = build_prior({**recipe["prior"], **classes, "latent_dim": 12_288})
        model = {**sized(recipe["model"], recipe["prior"].get("dim", 0)), "image_shape": [3, 64, 64]}
        from_table(MODELS[model.pop("name")][0], model, name)
        assert prior.dim == recipe["prior"].get("dim", prior.latent_dim)


def test_grn_celeba64_has_the_settings_of_the_paper():
    """Schirrmeister et al. 2018 (v2), section 3.1 and Figure 4; loss weights, batch and clipping are those of the authors' notebook."""
    recipe = read_recipe("grn-celeba64")
    hidden, blocks = [[scale[key] for scale in recipe["model"]["scales"]] for key in ("hidden", "blocks")]
    assert hidden == [25, 50, 100, 200, 400, 400]
    assert blocks == [2, 2, 2, 2, 2, 1]
    assert recipe["model"]["init"] == "default", "the authors' CelebA notebooks call no initialisation, their MNIST notebook does"
    assert "init" not in read_recipe("grn-mnist")["model"]
    assert recipe["prior"] == {"name": "active-gaussian", "dim": 64, "bound": 2.0}
    recon, adversarial = recipe["pretrain-recon"], recipe["train-adversarial"]
    for table in (recon, adversarial):
        assert (table["weight_x"], table["weight_z"], table["lr"], table["betas"]) == (10.0, 10.0, 1e-4, [0.0, 0.9])
        assert (table["max_grad_norm"], table["batch"], table["epochs"]) == (5.0, 250, 250)
    assert (adversarial["lr_adversary"], adversarial["max_grad_norm_adversary"]) == (4e-4, 1000.0)
    assert (adversarial["hidden"], adversarial["prior_samples"]) == ([400, 800], 750)


# data set → (batch, INN epochs, INN learning rate drops, classical learning rate drops, classical epochs, d)
SETTINGS = {
    "mnist": (128, 10, [8], list(range(10, 100, 10)), 100, 12),
    "cifar10": (128, 15, [10], [60, 85], 100, 300),
    "celeba": (32, 8, [6, 7], [8, 9], 10, 300),
}


@pytest.mark.parametrize("data", SETTINGS)
def test_inn_and_classic_recipes_have_the_settings_of_the_paper(data):
    """Nguyen, Ardizzone & Köthe 2019, section 3.2; Adam's betas and eps are those of the authors' code."""
    batch, epochs, drops, classical_drops, classical_epochs, dim = SETTINGS[data]
    inn, classic = (read_recipe(f"{family}-{data}") for family in ("inn", "classic"))
    for recipe in (inn, classic):
        assert recipe["prior"] == {"name": "active-gaussian", "dim": dim, "bound": 0.0, "choose": "first"}
        assert (recipe["pretrain-recon"]["lr"], recipe["pretrain-recon"]["max_grad_norm"], recipe["pretrain-recon"]["batch"]) == (
            1e-3,
            0,
            batch,
        )
    invertible, classical = inn["pretrain-recon"], classic["pretrain-recon"]
    assert (invertible["weight_x"], invertible["weight_z"], invertible["mmd_widths"]) == (1, 1, [0.2, 0.5, 0.9, 1.3])
    assert (invertible["betas"], invertible["eps"], invertible["weight_decay"]) == ([0.8, 0.8], 1e-4, 1e-6)
    assert (invertible["epochs"], invertible["lr_drop_epochs"]) == (epochs, drops)
    assert (classical["weight_x"], classical["weight_z"], classical["betas"], classical["weight_decay"]) == (1, 0, [0.9, 0.999], 1e-5)
    assert (classical["epochs"], classical["lr_drop_epochs"]) == (classical_epochs, classical_drops)


def test_a_recipe_can_be_a_file(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("[model]\nname = 'revnet'\n")
    assert read_recipe(str(path)) == tomllib.loads(path.read_text())
    path.write_text("[priorr]\n")
    with pytest.raises(UsageError, match="unknown key 'priorr'; did you mean 'prior'"):
        read_recipe(str(path))
    path.write_text("[model\n")
    with pytest.raises(FileError, match="own.toml: not valid TOML"):
        read_recipe(str(path))


@pytest.mark.parametrize(
    ("recipe", "cure"),
    [
        ("grn-mnst", "no such recipe; did you mean 'grn-mnist'?"),
        ("zzz", "no such recipe; 'genrev recipes' lists all; a .toml file is possible too"),
        ("missing.toml", "no such file"),
    ],
)
def test_an_unknown_recipe_is_an_error_with_a_suggestion(recipe, cure):
    with pytest.raises(UsageError, match=re.escape(f"--recipe {recipe}: {cure}")):
        read_recipe(recipe)


def test_defaults_are_known_at_any_depth():
    """A key that is new in a table of a list has the default that older runs are taken to have had."""

    @dataclass(frozen=True)
    class Scale:
        blocks: int
        kernel: int = 3

    @dataclass(frozen=True)
    class Net:
        scales: tuple[Scale, ...]
        clamp: float = 1.0

    defaults = {"model": defaults_of(Net)}
    old = {"model": {"scales": [{"blocks": 2}, {"blocks": 1}]}}
    new = {"model": {"scales": [{"blocks": 2, "kernel": 3}, {"blocks": 1, "kernel": 3}], "clamp": 1.0}}
    assert differences(old, new, defaults) == []
    new["model"]["scales"][1]["kernel"] = 5
    assert differences(old, new, defaults) == ["model.scales[1].kernel: 3 → 5"]


def test_derived_seeds_are_distinct_and_repeatable():
    assert derive(0, "step", 1) == derive(0, "step", 1)
    seeds = {derive(seed, word, number) for seed in range(5) for word in ("step", "epoch") for number in range(100)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("name", "values"),
    [  # settings of the authors' code for Zhang et al. 2020: epochs, lr, norm, d, then α, β and γ of nll, vrec, vkld
        ("lpga-mnist", (600, 0.1, "none", 12, 6e-2, 0, 1.5e-2, 0, 0)),
        ("lpga-cifar10", (400, 0.2, "inner", 128, 3e-2, 0, 1.5e-2, 0, 0)),
        ("lpga-celeba64", (100, 0.4, "inner", 128, 3e-2, 1e-2, 1e-2, 0, 0)),
        ("vpga-mnist", (600, 0.1, "none", 32, 6e-2, 0, 0, 1e-2, 2e-2)),
        ("vpga-cifar10", (400, 0.2, "inner", 128, 3e-2, 0, 0, 5e-3, 3e-2)),
        ("vpga-celeba64", (60, 0.4, "inner", 128, 3e-2, 1e-2, 0, 1e-2, 2e-3)),
        ("lvpga-mnist", (600, 0.1, "none", 32, 6e-2, 0, 1e-2, 1.5e-2, 2e-2)),
        ("lvpga-cifar10", (400, 0.2, "inner", 128, 3e-2, 0, 2e-2, 1.5e-2, 5e-2)),
        ("lvpga-celeba64", (100, 0.4, "inner", 128, 3e-2, 1e-2, 1e-2, 1e-2, 5e-3)),
    ],
)
def test_pga_recipes_have_the_settings_of_the_authors(name, values):
    recipe = read_recipe(name)
    table = recipe["train-pga"]
    keys = ("weight_prior", "weight_codes", "weight_nll", "weight_noise", "weight_kl")
    found = (table["epochs"], table["lr"], recipe["model"]["norm"], recipe["prior"]["dim"], *(table[key] for key in keys))
    assert found == values
    assert (table["batch"], table["momentum"], table["variant"]) == (64, 0.9, name.split("-")[0])
