"""Space files: every kind of range becomes what it says, and every mistake is named with its file, table and key."""

import re

import pytest

from genrev_cli.errors import FileError, UsageError
from genrev_cli.search.plan import plan_search
from genrev_cli.search.space import Choices, Numbers

HEAD = '[search]\ntrain = "pretrain-recon"\nrecipe = "{recipe}"\n'
CHAIN = '[search]\ntrain = ["pretrain-recon", "train-adversarial"]\nrecipe = "{recipe}"\n'


def entry(table, line):
    return f"{HEAD}[{table}]\n{line}\n"


@pytest.fixture
def planned(data, write_space):
    """(text) → the plan of a space, and the extents of its probes."""
    return lambda text: plan_search(write_space(text), data)


@pytest.mark.parametrize(
    ("table", "line", "name", "values"),
    [
        ("pretrain-recon", "lr = { low = 1e-4, high = 1e-2, log = true }", "pretrain-recon.lr", Numbers(1e-4, 1e-2, log=True)),
        ("pretrain-recon", "lr = { low = 0, high = 1 }", "pretrain-recon.lr", Numbers(0.0, 1.0)),
        ("pretrain-recon", "weight_x = { low = 1, high = 2, step = 0.25 }", "pretrain-recon.weight_x", Numbers(1.0, 2.0, step=0.25)),
        ("pretrain-recon", "batch = { low = 2, high = 8, step = 2 }", "pretrain-recon.batch", Numbers(2, 8, whole=True, step=2)),
        ("prior", "dim = { low = 2, high = 8, log = true }", "prior.dim", Numbers(2, 8, whole=True, log=True)),
        ("prior", "bound = { choices = [0.0, 2.0] }", "prior.bound", Choices((0.0, 2.0))),
        ("pretrain-recon", 'image_norm = { choices = ["l1", "l2"] }', "pretrain-recon.image_norm", Choices(("l1", "l2"))),
        ("pretrain-recon", "betas = { choices = [[0.0, 0.9], [0.5, 0.9]] }", "pretrain-recon.betas", Choices(([0.0, 0.9], [0.5, 0.9]))),
        (
            "model",
            "scales = { choices = [[{ blocks = 1, hidden = 4 }], [{ blocks = 2, hidden = 4 }]] }",
            "model.scales",
            Choices(([{"blocks": 1, "hidden": 4}], [{"blocks": 2, "hidden": 4}])),
        ),
        (
            "model",
            "scales = [{ blocks = 1, hidden = { low = 4, high = 8 } }]",
            "model.scales[0].hidden",
            Numbers(4, 8, whole=True),
        ),
    ],
)
def test_every_kind_of_range(planned, table, line, name, values):
    plan, extents = planned(entry(table, line))
    (found,) = plan.space.ranges
    assert (found.name, found.values) == (name, values)
    assert type(getattr(found.values, "low", 0)) is type(getattr(values, "low", 0))
    assert len(extents) == len(values.ends)


def test_a_trial_has_the_recipe_with_values_in_the_place_of_ranges(planned):
    text = CHAIN + "[model]\nscales = [{ blocks = 1, hidden = { low = 4, high = 8 } }]\n[prior]\ndim = { choices = [2, 3] }\nbound = 1.5\n"
    plan, extents = planned(text)
    tables = plan.tables({"model.scales[0].hidden": 5, "prior.dim": 3})
    assert tables["model"] == {"name": "revnet", "scales": [{"blocks": 1, "hidden": 5}]}
    assert tables["prior"] == {"name": "active-gaussian", "dim": 3, "bound": 1.5}
    assert tables["train-adversarial"] == plan.base.tables["train-adversarial"]
    assert {(one.steps, one.images) for one in extents} == {(10, 8)}  # of the last command, which takes two batches in a step
    assert extents[1].parameters > extents[0].parameters


def test_epochs_replace_the_steps_of_the_recipe(planned):
    plan, extents = planned(entry("pretrain-recon", "epochs = 2\nlr = { low = 0.1, high = 1 }"))
    assert "steps" not in plan.tables({"pretrain-recon.lr": 1.0})["pretrain-recon"]
    assert extents[0].steps == 6  # 2 · 22 images in batches of 8


def test_a_chain_gets_the_table_that_its_recipe_lacks(planned, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 4 }]\n[prior]\nname = "active-gaussian"\ndim = 2\n[pretrain-recon]\n'
    )
    plan, _ = planned(CHAIN.replace("{recipe}", str(own)) + "[train-adversarial]\nlr = { low = 0.1, high = 1 }\n")
    assert plan.tables({"train-adversarial.lr": 0.5})["train-adversarial"]["lr"] == 0.5


LR = "[pretrain-recon]\nlr = "
MISTAKES = [
    ("[prior]\ndim = { low = 2, high = 3 }\n", r'space.toml: has no table \[search\]'),
    ("lr = 1\n" + HEAD, r"space.toml: lr = 1 is in no table"),
    ('[search]\ntrain = "pretrain"\n', r"space.toml \[search\]: train = 'pretrain'; choose pretrain-recon, .* or"),
    ("[search]\ntrain = []\n", r"space.toml \[search\]: train is empty"),
    ('[search]\ntrain = ["pretrain-recon", "train-gan"]\n', r"\[search\]: after pretrain-recon, train can only have train-adversarial"),
    ('[search]\ntrain = "pretrain-recon"\nrecepi = "grn"\n', r"space.toml \[search\]: unknown key 'recepi'; did you mean 'recipe'\?"),
    ('[search]\ntrain = "pretrain-recon"\nsize = "tiny"\n', r"space.toml \[search\]: size = tiny; choose small, base or large"),
    ('[search]\ntrain = "pretrain-recon"\nrecipe = "no"\n', r"space.toml \[search\]: recipe = no: no such recipe"),
    (
        HEAD + "[train-adversarial]\nlr = 1\n",
        r"space.toml: has a table \[train-adversarial\], which this search does not use; its tables are \[search\], \[model\]",
    ),
    (HEAD + "[prior]\ndim = 3\n", r"space.toml: has no range to search"),
    (HEAD + "[prior]\ndimm = { low = 2, high = 3 }\n", r"space.toml \[prior\]: unknown key 'dimm'; did you mean 'dim'\?"),
    (
        HEAD + "[model]\nscales = [{ blocks = 1, hiden = { low = 2, high = 3 } }]\n",
        r"space.toml \[model\]: scales\[0\]: unknown key 'hiden'",
    ),
    (HEAD + "[prior]\ndim = { low = 2, high = 100 }\n", r"space.toml \[prior\]: .*100"),
    (
        HEAD + '[prior]\nname = "gauss"\ndim = { low = 2, high = 3 }\n',
        r"space.toml \[prior\]: name = 'gauss' is unknown; choose active-gaussian",
    ),
    (HEAD + LR + "{ low = 1e-4, hihg = 1e-2 }\n", r"space.toml \[pretrain-recon\]: lr: unknown key 'hihg'; did you mean 'high'\?"),
    (HEAD + LR + "{ low = 1e-4 }\n", r"space.toml \[pretrain-recon\]: lr: a range needs low and high; add high"),
    (HEAD + LR + "{ low = 1, high = 0.1 }\n", r"space.toml \[pretrain-recon\]: lr: low = 1 must be less than high = 0.1"),
    (HEAD + LR + "{ low = 0, high = 1, log = true }\n", r"\[pretrain-recon\]: lr: low = 0 must be more than 0 with log = true"),
    (HEAD + LR + "{ low = 0, high = 1, log = 1 }\n", r"\[pretrain-recon\]: lr: log = 1; must be true or false"),
    (HEAD + LR + "{ low = 0, high = inf }\n", r"\[pretrain-recon\]: lr: low, high and step must be finite numbers"),
    (HEAD + LR + f"{{ low = 0, high = 1{'0' * 400} }}\n", r"\[pretrain-recon\]: lr: low, high and step must be finite numbers"),
    (HEAD + "[pretrain-recon]\nseed = { low = 0, high = 100000000000000000 }\n", r"seed: low, high and step must be whole numbers"),
    (HEAD + LR + "{ low = -1.0, high = 1 }\n", r"space.toml \[pretrain-recon\]: lr = -1; must be"),
    (HEAD + LR + "{ low = 0.5, high = 1, step = 0.2 }\n", r"lr: high = 1 is not low = 0.5 plus some steps of 0.2"),
    (HEAD + LR + "{ low = 0.5, high = 1, step = 0.0 }\n", r"lr: step = 0 must be more than 0"),
    (HEAD + LR + "{ low = 0.5, high = 1, step = 0.1, log = true }\n", r"lr: step and log = true exclude each other"),
    (HEAD + LR + "{ choices = [0.1] }\n", r"lr: choices must be a list of two values or more"),
    (HEAD + LR + "{ choices = [0.1, 0.1] }\n", r"lr: choices must differ"),
    (HEAD + LR + "{ choices = [0.1, 2020-01-01] }\n", r"lr: choices must be numbers, words, lists or tables"),
    (HEAD + LR + "{ choices = [0.1, 0.2], log = true }\n", r"lr: choices stand alone; leave out log"),
    (HEAD + LR + '{ choices = [0.1, "fast"] }\n', r"space.toml \[pretrain-recon\]: lr: must be float, not 'fast'"),
    (HEAD + "[pretrain-recon]\nbatch = { low = 2.5, high = 8 }\n", r"batch: low, high and step must be whole numbers, not low = 2.5"),
    (
        HEAD + "[pretrain-recon]\nbetas = { low = 0, high = 1 }\n",
        r"betas: low and high are for numbers, and this setting is none; use choices",
    ),
    (HEAD + "[pretrain-recon]\nsteps = 3\nepochs = 2\nlr = { low = 0.1, high = 1 }\n", r"\[pretrain-recon\]: steps and epochs both set"),
    ('[search]\ntrain = "train-pga"\n[train-pga]\nvariant = { choices = ["lpga", "vpga"] }\n', r"\[train-pga\]: variant must be one value"),
    (
        '[search]\ntrain = "train-pga"\n[train-pga]\nvariant = "pga"\n',
        r"space.toml \[train-pga\]: variant = 'pga'; choose lpga, vpga or lvpga",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_named(planned, text, message):
    with pytest.raises(UsageError) as caught:
        planned(text)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files(planned, data, tmp_path):
    with pytest.raises(FileError, match=r"none\.toml: no such file"):
        plan_search(tmp_path / "none.toml", data)
    with pytest.raises(FileError, match=r"space\.toml: not valid TOML"):
        planned("[search\n")
