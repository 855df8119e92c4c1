"""The rows of pipelines/obtained.mk: their commands work, and their published numbers have sources."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from genrev_cli.cli import app, commands, main
from genrev_cli.data.registry import FACTORIES
from genrev_cli.obtained.table import Method, contents, makefile_variables, pairs, parse
from genrev_cli.settings.commands import all_commands

TABLE = contents()
ROWS = [(method.key, data) for data in TABLE.data if not TABLE.data[data].like for method in TABLE.rows_of(data)]
SHAPES = {"mnist": ("mnist", (1, 28, 28)), "cifar10": ("cifar10", (3, 32, 32)), "celeba64": ("celeba", (3, 64, 64))}
PAPERS = Path(__file__).parents[3] / "shared/papers"
TEXTS = {"An": "ae-ot-gan.txt", "Zhang": "perceptual-generative-autoencoders.txt", "Schirrmeister": "generative-reversible-networks-v1.txt"}


@pytest.fixture(scope="module", autouse=True)
def _arranged():
    commands.arrange()


@pytest.mark.parametrize(("key", "data"), ROWS)
def test_the_first_command_of_a_row_can_train_its_images(key, data, tmp_path, write_images, capsys):
    source, shape = SHAPES[data]
    images = write_images(tmp_path / "data.h5", shape, (700, 5, 3), source=source)
    words = [*TABLE.methods[key].train[0].split(), "--data", str(images), "--steps", "3", "--dry-run", "--json", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "x.safetensors")]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("key", "data"), [(key, data) for key, data in ROWS if key in TABLE.of_size("small").methods])
def test_the_network_of_a_row_can_be_small(key, data, tmp_path, write_images, capsys):
    source, shape = SHAPES[data]
    images = write_images(tmp_path / "data.h5", shape, (700, 5, 3), source=source)
    words = [*TABLE.of_size("small").methods[key].train[0].split(), "--data", str(images), "--dry-run", "--json", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "x.safetensors")]) == 0, capsys.readouterr().err


def test_a_recipe_of_one_size_has_no_small_row():
    assert TABLE.methods.keys() - TABLE.of_size("small").methods.keys() == {"vae-small", "flow-revnet", "flow-gan", "wgan-qc-resnet"}


@pytest.mark.parametrize("method", TABLE.methods.values(), ids=list(TABLE.methods))
def test_every_command_and_option_of_a_row_is_real(method):
    for command in [*method.train, *([f"{method.train[0].split()[0]} {method.warm_up}"] if method.warm_up else [])]:
        name, *words = command.split()
        options = {flag for parameter in get_command(app).commands[name].params for flag in parameter.opts}
        assert name in all_commands()
        assert {word for word in words if word.startswith("--")} <= options


def test_every_data_set_can_be_prepared():
    options = {flag for parameter in get_command(app).commands["prepare-data"].params for flag in parameter.opts}
    for data in TABLE.data.values():
        source, *words = data.prepare.split()
        assert source in FACTORIES
        assert {word for word in words if word.startswith("--")} <= options
        assert data.like in ("", *TABLE.data)


def test_every_name_in_the_table_is_defined():
    used = {name for table in TABLE.tables for name in (*table.values, *table.spread)}
    used |= {name for claim in TABLE.claims for name in (claim.better, claim.worse)} | {cut.method for cut in TABLE.cut}
    assert used <= TABLE.methods.keys()
    named = {data for method in TABLE.methods.values() for data in method.data}
    named |= {one.data for one in (*TABLE.tables, *TABLE.claims, *TABLE.cut)}
    assert named <= {data.key for data in TABLE.data.values() if not data.like}


def test_every_published_number_has_a_row():
    published = {(method, table.data) for table in TABLE.tables for method in table.values}
    assert published <= set(ROWS), "add the data set to the method's line, and if it is too long for a CPU, say so in [[cut]]"
    assert {(one.method, one.data) for one in TABLE.cut} <= set(ROWS)


def test_a_row_that_is_cut_runs_only_if_it_is_named():
    lines = list(makefile_variables(TABLE))
    assert "TRAIN_sngan-cifar10_1 := train-gan --loss hinge-sn" in lines
    (run,) = (line.split(" := ")[1].split() for line in lines if line.startswith("ROWS_cifar10 "))
    assert "sngan-cifar10" not in run
    assert "lpga-cifar10" in run


@pytest.mark.parametrize("one", [*TABLE.tables, *TABLE.claims], ids=lambda one: f"{one.source[:20]} {one.data}")
def test_every_published_number_has_a_source_that_can_be_opened(one):
    assert re.match(r"[A-Z]\w+ et al\. \d{4}, (Table|section|Figure) \d", one.source)
    assert one.measure in ("FID", "distance", "L1", "bits_per_dim")


@pytest.mark.parametrize("table", TABLE.tables, ids=lambda table: f"{table.source} {table.data}")
def test_published_numbers_are_in_the_text_of_the_paper(table):
    text = PAPERS / TEXTS[table.source.split()[0]]
    if not text.exists():
        pytest.skip(f"{text} is not here: the papers are not part of the project")
    printed = set(re.findall(r"\d+(?:\.\d+)?", text.read_text(encoding="utf-8")))
    for value in (*table.values.values(), *table.spread.values()):
        assert {f"{value:g}", f"{value:.2f}", f"{value:.1f}"} & printed, f"{value} is not in {text.name}"


def test_small_images_take_the_rows_of_the_papers_images():
    assert TABLE.rows_of("digits") == TABLE.rows_of("mnist")
    assert TABLE.orders("digits") == TABLE.orders("mnist") != []
    assert TABLE.published("lpga", "mnist")
    assert TABLE.published("lpga", "digits") == []  # the numbers are those of MNIST


def test_only_numbers_that_differ_by_more_than_their_spreads_are_in_an_order():
    text = """
    methods = {}
    data = {}
    [[tables]]
    source = "X"
    data = "mnist"
    measure = "FID"
    samples = 0
    features = "Inception"
    values = { a = 12.06, b = 11.67, c = 15.55 }
    spread = { a = 0.2, b = 0.2, c = 0.18 }
    """
    assert [(claim.better, claim.worse) for claim in pairs(parse(text).tables[0])] == [("b", "c"), ("a", "c")]


def test_a_paper_without_numbers_for_the_images_lends_its_orders():
    found = {(claim.better, claim.worse, claim.data) for claim in TABLE.orders("mnist")}
    assert ("vpga", "vae", "mnist") in found  # Zhang et al. have numbers for MNIST, so their others are left out
    assert not {pair for pair in found if pair[:2] == ("vpga", "vae")} - {("vpga", "vae", "mnist")}
    assert ("wae-gan", "grn", "celeba64") in found  # Schirrmeister et al. have none
    assert ("inn-32", "classic-32", "mnist") in found


def test_rows_become_variables_of_make():
    lines = list(makefile_variables(TABLE))
    assert "TRAIN_grn-mnist_2 := train-adversarial" in lines
    assert "OF_MODEL_flow-mnist := recon,roundtrip,bpd" in lines
    assert not [line for line in lines if ";" in line or "#" in line or "$" in line], "make would read more than text"


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="bitz"):
        parse('data = {}\n[methods]\na = { title = "A", data = [], train = [], bitz = true }')
    assert {field.name for field in fields(Method)} >= {"bits", "encodes", "samples", "codes", "warm_up"}
