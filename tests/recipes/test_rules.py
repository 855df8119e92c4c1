"""Rules are pure functions: their tables are whole recipes, grow with the images, and stay within bounds."""

import tomllib

import pytest
import torch

from genrev_cli.config import read_recipe, recipe_names, recipe_tables, split_table
from genrev_cli.models import build_model, sized
from genrev_cli.plugins import needed
from genrev_cli.recipes.built_in import built_in, built_in_for
from genrev_cli.recipes.rules import RULES, Facts, families_of, register_rule
from genrev_cli.recipes.rules.cost import MACS, TWO_CORES
from genrev_cli.recipes.rules.reversible import ADVERSARIAL, RECON, padded_area, revnet, scale_count
from genrev_cli.recipes.rules.rule import batch_size, latent_dims, two_digits, unreasoned, width_factor
from genrev_cli.recipes.toml import plain, to_toml
from genrev_cli.settings.adversarial import AdversarialConfig
from genrev_cli.settings.aeotgan import AEOTGANConfig
from genrev_cli.settings.classification import ClassificationConfig
from genrev_cli.settings.schedule import Schedule
from genrev_cli.settings.sizes import SIZES
from genrev_cli.settings.trainers import TRAINERS

SHAPES = ((1, 1, 1), (3, 1, 1), (1, 1, 7), (1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 64, 64), (3, 48, 64), (1, 8, 256), (3, 256, 256))
NUMBERS = (24, 303, 60_000, 5_000_000)
OTHER_SETTINGS = {"train-adversarial": AdversarialConfig, "train-gan": AEOTGANConfig, "fit-features": ClassificationConfig}


def settings_of(command, table):
    """The class of the settings of a command's table."""
    if command in OTHER_SETTINGS:
        return OTHER_SETTINGS[command]
    variants = TRAINERS[command].variants
    return variants[table.get("variant", next(iter(variants)))].settings


def parameters(tables, shape):
    with torch.device("meta"):
        return build_model({**sized(tables["model"], tables["prior"].get("dim", 0)), "image_shape": list(shape)}).parameter_count()


@pytest.mark.parametrize("family", RULES)
@pytest.mark.parametrize("size", SIZES)
def test_a_rule_makes_a_whole_recipe_for_any_images(family, size):
    for shape in SHAPES:
        for images in NUMBERS:
            facts = Facts(shape, images, 10, size)
            tables = plain(RULES[family].tables(facts))
            assert tables == plain(RULES[family].tables(facts)), "a rule is a pure function"
            assert tables.keys() <= set(recipe_tables())
            for command in RULES[family].commands:
                schedule, _ = split_table(tables[command], family, Schedule, settings_of(command, tables[command]))
                assert 1 <= schedule.batch <= max(images, 128)
                assert 100 <= schedule.steps <= 400_000
                assert all(0 < drop < schedule.steps * schedule.batch / images for drop in schedule.lr_drop_epochs)


@pytest.mark.parametrize("family", [family for family in RULES if family != "features"])
def test_the_sizes_are_ordered(family):
    """small is the cheapest per step. base grows with the number of images, and large is wider than base."""
    for shape in ((1, 28, 28), (3, 48, 64)):
        for images in (303, 60_000):
            small, base, large = (plain(RULES[family].tables(Facts(shape, images, 1, size))) for size in SIZES)
            small_macs, base_macs, large_macs = (MACS[table["model"]["name"]](shape, table["model"]) for table in (small, base, large))
            assert small_macs <= base_macs <= large_macs
            assert parameters(base, shape) < parameters(large, shape)
            for command in RULES[family].commands:
                assert small[command]["steps"] * small[command]["batch"] <= 1.1 * base[command]["steps"] * base[command]["batch"]
        few, many = (plain(RULES[family].tables(Facts(shape, images))) for images in (303, 60_000))
        assert parameters(few, shape) < parameters(many, shape)


def test_the_rule_for_celeba_is_the_papers_network():
    """Figure 4 of Schirrmeister et al. 2018, which grn-celeba64 has."""
    model = unreasoned(revnet(Facts((3, 64, 64), 162_770)))
    assert model["scales"] == read_recipe("grn-celeba64")["model"]["scales"]


@pytest.mark.parametrize(
    ("shape", "scales"), [((1, 8, 8), 3), ((1, 28, 28), 5), ((3, 32, 32), 5), ((3, 64, 64), 6), ((3, 48, 64), 4), ((3, 256, 256), 6)]
)
def test_squeezes_pad_little(shape, scales):
    facts = Facts(shape, 1000)
    assert scale_count(facts) == scales
    assert padded_area(facts, scales) < 4 / 3


def test_dimensions_are_those_of_the_papers_data_sets():
    shapes = {(1, 8, 8): 8, (1, 28, 28): 16, (3, 32, 32): 32, (3, 64, 64): 64, (3, 256, 256): 128}
    assert {shape: latent_dims(Facts(shape, 50_000)) for shape in shapes} == shapes
    assert latent_dims(Facts((3, 64, 64), 303)) == 32, "at most one per 8 images, as a power of two"
    assert latent_dims(Facts((3, 64, 64), 30)) == 4


def test_few_images_get_small_batches_and_narrow_networks():
    assert [batch_size(Facts((3, 64, 64), images), 256) for images in (24, 303, 50_000)] == [8, 32, 256]
    assert batch_size(Facts((3, 256, 256), 50_000), 256) == 16
    assert batch_size(Facts((3, 4096, 4096), 50_000), 256) == 4
    assert [width_factor(Facts((3, 64, 64), images)) for images in (24, 50_000, 10**6)] == [0.25, 1, 1]


def test_two_digits_rounds_down():
    assert [two_digits(number) for number in (1, 9.9, 99.9, 1549, 20_000, 99_999)] == [1, 9, 99, 1500, 20_000, 99_000]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)])
@pytest.mark.parametrize("images", [303, 60_000])
def test_small_takes_ten_minutes_on_two_cores(shape, images):
    """By the measured pace of steps: pretrain-recon and train-adversarial together."""
    tables = plain(RULES["grn"].tables(Facts(shape, images, 1, "small")))
    seconds = sum(
        TWO_CORES * pace.seconds(shape, tables["model"], tables[command]["batch"]) * tables[command]["steps"]
        for command, pace in (("pretrain-recon", RECON), ("train-adversarial", ADVERSARIAL))
    )
    assert seconds < 8.5 * 60


@pytest.mark.parametrize("family", RULES)
def test_the_toml_of_a_rule_is_its_tables(family):
    tables = RULES[family].tables(Facts((3, 48, 64), 5000))
    text = to_toml(["A title."], tables)
    assert text.startswith("# A title.\n")
    assert tomllib.loads(text) == plain(tables)
    assert all(len(line) <= 140 for line in text.splitlines()), max(text.splitlines(), key=len)


@pytest.mark.parametrize("name", recipe_names())
def test_every_built_in_recipe_belongs_to_a_family(name):
    assert any(name == family or name.startswith(f"{family}-") for family in RULES), f"{name}: write the rule of its family"


@pytest.mark.parametrize(
    ("family", "source", "name"),
    [
        ("grn", "celeba", "grn-celeba64"),
        ("vae", "celeba", "vae-celeba64"),  # there is vae-celeba64-grn too
        ("flow", "mnist", "flow-mnist"),  # and flow-mnist-gan, flow-mnist-revnet
        ("aae", "mnist", "aae-mnist"),
        ("revgan", "celeba", "revgan-celeba64"),
        ("classic", "mnist", "classic-mnist"),  # there is classic-1024-mnist too
        ("aeotgan", "cifar10", "aeotgan-cifar10"),  # there is aeotgan-cifar10-resnet too
        ("aeotgan", "celeba", "aeotgan-celeba64"),  # and three more
        ("gan", "celeba", "gan-celeba64"),
        ("features", "mnist", "features"),
        ("features", "folder", ""),
        ("grn", "folder", ""),
        ("grn", "cele", ""),
        ("swae", "mnist", ""),
    ],
)
def test_the_shortest_name_is_chosen(family, source, name):
    assert built_in_for(family, source) == name


def test_a_recipe_that_suits_comes_before_a_shorter_one():
    assert built_in_for("gan", "celeba", lambda name: name.endswith("resnet")) == "gan-celeba64-resnet"
    assert built_in_for("gan", "celeba", lambda name: False) == "gan-celeba64"


def test_the_name_of_a_recipe_says_what_it_is_for():
    found = built_in("aeotgan-cifar10-resnet")
    assert (found.family, found.source, found.shape) == ("aeotgan", "cifar10", (3, 32, 32))
    assert built_in("features").shape is None


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=TRAINERS)
def test_every_trainer_has_a_rule(trainer):
    missing = {variant.family for variant in trainer.variants.values()} - RULES.keys()
    assert not missing, f"{trainer.name}: write a rule for {missing} in genrev_cli/recipes/rules/, so that it trains on any images"
    assert families_of(trainer.name)


def test_a_plugin_may_add_a_rule(monkeypatch):
    monkeypatch.setattr("genrev_cli.recipes.rules.RULES", dict(RULES))
    register_rule("swae", RULES["vae"])
    assert not needed([("rule", "swae")])  # it was not registered by a plugin's file
