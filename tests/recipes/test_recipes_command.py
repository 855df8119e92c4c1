"""genrev recipes: what there is, what fits some images, and a file to edit."""

import json
import tomllib

import pytest

from genrev_cli.cli import main
from genrev_cli.config import read_recipe, recipe_names
from genrev_cli.recipes.built_in import recipe_text
from genrev_cli.recipes.rules import RULES
from genrev_cli.recipes.words import count, span
from genrev_cli.stages import recipes as stage


@pytest.fixture
def run(capsys):
    def command(*words):
        capsys.readouterr()
        code = main(["recipes", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def photos(tmp_path, write_images):
    return write_images(tmp_path / "photos.h5", (3, 8, 8), (30, 3, 3), source="folder")


def test_the_list_has_every_recipe_and_family(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= set(recipe_names())
    assert {line.split()[0] for line in lines if line and not line.startswith(" ")} >= set(RULES)
    assert "  grn-celeba64             celeba     3×64×64      60.4 M" in lines


def test_the_list_as_json(run):
    code, out, _ = run("--json")
    found = {family["family"]: family for family in json.loads(out)["families"]}
    assert code == 0
    assert found["grn"]["commands"] == ["pretrain-recon", "train-adversarial"]
    assert [one["name"] for one in found["gan"]["recipes"]] == [
        "gan-celeba64", "gan-celeba64-qc", "gan-celeba64-resnet", "gan-cifar10", "gan-cifar10-resnet", "gan-digits", "gan-mnist",
    ]  # fmt: skip
    assert {one["name"]: one for one in found["grn"]["recipes"]}["grn-celeba64"]["parameters"] == 60_409_572


def test_a_recipe_is_printed_as_it_is(run):
    code, out, _ = run("grn-celeba64")
    assert (code, out) == (0, recipe_text("grn-celeba64"))
    assert tomllib.loads(out) == read_recipe("grn-celeba64")


def test_a_rule_is_printed_with_its_reasons_and_trains_as_a_file(run, photos, tmp_path, capsys):
    code, out, _ = run("grn", "--for", photos, "--size-of-model", "small")
    assert code == 0
    assert out.startswith("# The rule grn (small) for 3×8×8, 30 images.")
    (tmp_path / "my.toml").write_text(out, encoding="utf-8")
    words = ["pretrain-recon", "--data", str(photos), "--out", str(tmp_path / "r.safetensors"), "--dry-run", "--json"]
    plans = []
    for own in (["--recipe", str(tmp_path / "my.toml")], ["--size-of-model", "small"]):
        assert main([*words, *own]) == 0
        plan = json.loads(capsys.readouterr().out)
        plans.append({key: value for key, value in plan.items() if key not in ("recipe", "disk_bytes")})
    assert plans[0] == plans[1]


def test_a_family_means_the_recipe_of_the_source(run, data):
    assert run("grn", "--for", data)[1] == recipe_text("grn-digits")
    assert run("grn", "--for", data, "--size-of-model", "base")[1].startswith("# The rule grn (base) for 1×8×8, 22 images.")


def test_what_fits_is_measured(run, photos, monkeypatch):
    monkeypatch.setattr(stage, "_ordered", lambda: ["grn", "vae"])
    monkeypatch.setattr(stage, "EACH_SECONDS", 0.5)
    code, out, _ = run("--for", photos, "--size-of-model", "small", "--json")
    found = json.loads(out)
    assert code == 0
    assert [row["name"] for row in found["fitting"]] == ["grn (small)", "vae (small)"]
    for row in found["fitting"]:
        assert row["seconds_per_step"] > 0
        assert row["megabytes"] > 16 * row["parameters"] / 1e6  # weights, gradients and two moments in float32
        assert row["hours"] == pytest.approx(row["seconds_per_step"] * row["steps"] / 3600)


def test_the_table_fits_a_terminal(run, data, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("--for", data, "--no-measure")
    assert code == 0
    assert all(len(line) <= 80 for line in out.splitlines() if str(data) not in line)
    assert not any(heading in out for heading in ("s/step", "MB", "total"))  # nothing was measured
    names = [line.split("  ")[0] for line in out.splitlines()]
    assert {"grn-digits", "grn (base)", "flow-digits", "vae (base)"} <= set(names)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["grn"], "grn: is a family, whose rule needs the images that it is for; give --for DATA.h5"),
        (["--size-of-model", "small"], "--size-of-model small needs the images that it is for; give --for DATA.h5"),
        (["grn-mnst"], "grn-mnst: no such recipe; did you mean 'grn-mnist'?"),
        (["zzz"], "zzz: no such recipe; 'genrev recipes' lists all"),
    ],
)
def test_a_wrong_word_is_explained(run, words, sentence):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert sentence in err


def test_a_size_does_not_apply_to_a_recipe(run, data):
    code, _, err = run("grn-digits", "--for", data, "--size-of-model", "small")
    assert code == 2
    assert "--size-of-model small: does not apply to the recipe grn-digits; name its family" in err


def test_numbers_are_said_in_few_characters():
    assert [count(number) for number in (None, 0, 999, 44_065, 999_600, 4_150_000, 60_409_572, 2e9)] == [
        "", "0", "999", "44.1 k", "1 M", "4.15 M", "60.4 M", "2 G",
    ]  # fmt: skip
    assert [span(hours) for hours in (0.001, 0.0249, 0.1, 1.4, 1.6, 40, 300)] == ["4 s", "90 s", "6 min", "84 min", "1.6 h", "40 h", "12 d"]
