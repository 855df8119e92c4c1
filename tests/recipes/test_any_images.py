"""Every training command works on every prepared data set, without a recipe: it plans, trains, samples and reports."""

import json

import numpy as np
import pytest

from genrev_cli.cli import main
from genrev_cli.config import recipe_names
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.files.images import SPLITS
from genrev_cli.recipes.rules import RULES
from genrev_cli.settings.trainers import TRAINERS

LABELLED = 3
DATA = {  # name → image shape, images per split, classes (0: no labels)
    "gray-8x8-30": ((1, 8, 8), (24, 3, 3), LABELLED),
    "colour-8x8-10000": ((3, 8, 8), (9000, 500, 500), 0),
    "gray-28x28": ((1, 28, 28), (300, 20, 20), 10),
    "colour-32x32-train-only": ((3, 32, 32), (40, 0, 0), LABELLED),
    "colour-64x64": ((3, 64, 64), (40, 4, 4), 0),
    "colour-48x64": ((3, 48, 64), (40, 4, 4), LABELLED),
    "gray-33x47": ((1, 33, 47), (40, 4, 4), LABELLED),
    "colour-100x75": ((3, 100, 75), (30, 2, 2), 0),
    "gray-16x200": ((1, 16, 200), (30, 2, 2), LABELLED),
    "colour-256x256": ((3, 256, 256), (24, 3, 3), LABELLED),
}
DEFAULTS = {next(iter(trainer.variants.values())).family for trainer in TRAINERS.values()} | {"gan"}
CASES = {
    family: [rule.commands[0], *([] if family in DEFAULTS or family in recipe_names() else ["--recipe", family])]
    for family, rule in RULES.items()
}
"""Family → the command that trains a fresh network of it; the default family needs no --recipe."""
AFTER = {"train-adversarial": "2", "train-gan": "4"}
"""Command that goes on from a checkpoint → its smallest batch."""
CHEAP = ("gray-8x8-30", "colour-48x64", "gray-33x47", "colour-32x32-train-only", "gray-28x28", "gray-16x200")
TRIED = [(family, CHEAP[i % len(CHEAP)]) for i, family in enumerate(CASES) if family != "features"]
"""Each family on one of the data sets whose networks are quick, in turn; tests/models/test_any_shape.py has every network and shape."""
QUICK = ["--size-of-model", "small", "--device", "cpu", "--steps", "2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """(name) → the path of a prepared set of blurred stripes."""
    folder = tmp_path_factory.mktemp("any")

    def path(name):
        file = folder / f"{name}.h5"
        if not file.exists():
            _write(file, *DATA[name])
        return file

    return path


def _write(path, shape, counts, classes):
    (C, H, W), n, rng = shape, sum(counts), np.random.default_rng(0)
    y, x = np.mgrid[:H, :W]
    phase, slope = rng.uniform(0, 6, (n, C, 1, 1)), rng.uniform(0.1, 0.5, (n, 1, 1, 1))
    images = (127.5 + 127 * np.sin(phase + slope * (x + y))).astype(np.uint8)
    config = {"source": {"name": "folder"}, "image_shape": list(shape), "counts": dict(zip(SPLITS, counts, strict=True))}
    labels = rng.integers(0, classes, n) if classes else np.full(n, -1)
    arrays = {"images": images, "labels": labels.astype(np.int64), "split": np.repeat(np.arange(3, dtype=np.uint8), counts)}
    with hdf5.writing(path, Header("data", config, "")) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)


def run(capsys, *words):
    """Run a command that must succeed; return its JSON, and what it says on stderr."""
    capsys.readouterr()
    code = main([*map(str, words), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, f"{' '.join(map(str, words))}: {err}"
    return json.loads(out), err


@pytest.mark.parametrize("name", DATA)
def test_every_command_plans(name, data, tmp_path, capsys):
    shape, _, classes = DATA[name]
    for family, words in CASES.items():
        out = tmp_path / f"{family}.safetensors"
        asked = [*words, "--data", data(name), "--out", out, "--dry-run"]
        if family == "features" and not classes:
            assert main([*map(str, asked)]) == 2
            assert "have no label" in capsys.readouterr().err
            continue
        plan, err = run(capsys, *asked)
        assert f"no recipe for 'folder': network, batch and steps are sized for {'×'.join(map(str, shape))}, " in err
        assert plan["recipe"].startswith(f"rule {family} (base) for ")
        assert plan["steps"] > 0
        assert plan["parameters"] > 0
        assert not out.exists()


@pytest.mark.parametrize("name", CHEAP[:3])
def test_a_reversible_network_trains_and_goes_on(name, data, tmp_path, capsys):
    """pretrain-recon, then each command that goes on from its checkpoint."""
    recon = tmp_path / "recon.safetensors"
    run(capsys, "pretrain-recon", "--data", data(name), "--out", recon, "--batch", 2, *QUICK)
    for command, batch in AFTER.items():
        plan, _ = run(capsys, command, "--ckpt", recon, "--out", tmp_path / "plan.safetensors", "--dry-run")
        assert plan["recipe"].startswith("rule grn (small) for ")
        out = tmp_path / f"{command}.safetensors"
        run(capsys, command, "--ckpt", recon, "--out", out, "--device", "cpu", "--steps", 2, "--batch", batch)
    run(capsys, "sample", "--ckpt", out, "-n", 2, "--out", tmp_path / "samples.h5")


@pytest.mark.parametrize(("family", "name"), TRIED, ids=[f"{family}-{name}" for family, name in TRIED])
def test_a_family_trains_samples_and_reports(family, name, data, tmp_path, capsys):
    out, samples = tmp_path / "model.safetensors", tmp_path / "samples.h5"
    run(capsys, *CASES[family], "--data", data(name), "--out", out, "--batch", 2, *QUICK)
    run(capsys, "sample", "--ckpt", out, "-n", 2, "--out", samples, "--grid", tmp_path / "grid.png")
    run(capsys, "report", out, tmp_path / "grid.png", "--out", tmp_path / "report.html")
    assert hdf5_shape(samples) == (2, *DATA[name][0])


def hdf5_shape(path):
    with hdf5.reading(path) as (_, file):
        return file["images"].shape


def test_features_are_fitted_where_there_are_labels(data, tmp_path, capsys):
    words = [*CASES["features"], "--data", data("colour-48x64"), "--out", tmp_path / "f.safetensors", "--batch", 2, *QUICK]
    assert run(capsys, *words)[0]["steps"] == 2


def test_a_checkpoint_of_another_family_gets_the_rules_table(data, tmp_path, capsys):
    """A VAE's recipe has no table for train-adversarial."""
    vae, out = tmp_path / "vae.safetensors", tmp_path / "adversarial.safetensors"
    run(capsys, "train-vae", "--data", data("gray-8x8-30"), "--out", vae, "--batch", 2, *QUICK)
    plan, err = run(capsys, "train-adversarial", "--ckpt", vae, "--out", out, "--dry-run")
    assert "has no table [train-adversarial]: adversary, batch and steps are sized for 1×8×8, 24 images (small; see --dry-run)" in err
    assert plan["recipe"] == "rule vae (small) for 1×8×8, 24 images + rule grn (small) for 1×8×8, 24 images"
    run(capsys, "train-adversarial", "--ckpt", vae, "--out", out, "--device", "cpu", "--steps", 2, "--batch", 2)
    assert main(["train-gan", "--ckpt", str(vae), "--size-of-model", "small"]) == 2
    assert "--size-of-model small: does not apply to the network of a checkpoint; leave it or --ckpt out" in capsys.readouterr().err
    header, _ = run(capsys, "info", out)
    assert header["config"]["recipe_tables"].keys() == {"model", "prior", "train-vae", "train-adversarial"}


def test_a_run_of_a_rule_resumes_with_the_plan_in_its_header(data, tmp_path, capsys):
    out = tmp_path / "r.safetensors"
    words = ["pretrain-recon", "--data", data("gray-8x8-30"), "--out", out, "--batch", 2, "--size-of-model", "small", "--device", "cpu"]
    run(capsys, *words, "--steps", 2)
    found, err = run(capsys, *words, "--steps", 4)
    assert found["steps"] == 4
    assert "resuming" in err
    assert main([*map(str, words[:-4]), "--size-of-model", "large", "--steps", "6"]) == 2
    assert "model.scales[1].hidden: 12 → 25" in capsys.readouterr().err
    header, _ = run(capsys, "info", out)
    assert header["config"]["recipe"] == "rule grn (small) for 1×8×8, 24 images"
    assert header["config"]["recipe_tables"]["model"]["name"] == "revnet"


@pytest.mark.parametrize("variant", TRAINERS["train-vae"].variants)
def test_a_variant_chooses_its_rule(variant, data, tmp_path, capsys):
    words = ["train-vae", "--data", data("gray-8x8-30"), "--out", tmp_path / "v.safetensors", "--dry-run"]
    by_variant, _ = run(capsys, *words, "--variant", variant)
    by_family, _ = run(capsys, *words, "--recipe", variant)
    assert by_variant == by_family
    assert by_variant["method"]["variant"] == variant


@pytest.mark.parametrize("written", ["'vea'", "3"])
def test_an_unknown_variant_is_of_its_file(written, data, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(f'[model]\nname = "strided"\n[train-vae]\nvariant = {written}\n')
    assert main(["train-vae", "--data", str(data("gray-8x8-30")), "--recipe", str(tmp_path / "mine.toml"), "--dry-run"]) == 2
    said = f"{tmp_path / 'mine.toml'} [train-vae]: variant = {written} is unknown; choose vae, wae-mmd or wae-gan"
    assert said in capsys.readouterr().err
