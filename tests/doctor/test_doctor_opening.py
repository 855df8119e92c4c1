"""What genrev doctor examines: --ckpt, --recipe and --data."""

import shutil

import pytest

from genrev_cli.config import read_recipe
from genrev_cli.doctor import opening
from genrev_cli.errors import UsageError
from genrev_cli.recipes.rules import RULES


def test_one_network_at_a_time(run, tiny, tmp_path):
    code, _, err = run("--ckpt", tmp_path / "x.safetensors", "--recipe", tiny)
    assert code == 2
    assert "pass only one of them" in err


def test_an_unknown_shape_is_guessed_and_reported(open_examination, tiny, tmp_path):
    odd = tmp_path / "mine.toml"
    shutil.copy(tiny, odd)
    assert open_examination(recipe=str(odd)).subject.name.endswith("revnet for 3×64×64, 8,732 parameters, a guessed shape")


@pytest.mark.parametrize("family", RULES)
def test_a_family_is_examined_for_the_shape_of_images(open_examination, write_images, tmp_path, family):
    data = write_images(tmp_path / "own.h5", shape=(3, 16, 24), source="folder")
    if family == "features":
        with pytest.raises(UsageError, match=r"features: has no table \[model\]"):
            open_examination(recipe=family, data=data)
        return
    name = open_examination(recipe=family, data=data).subject.name
    assert name.startswith(f"rule {family} (base) for 3×16×24, 22 images, ")
    assert " for 3×16×24, " in name.split(", 22 images, ")[1]


def test_a_family_needs_images(run):
    code, _, err = run("--recipe", "grn")
    assert code == 2
    said = "is a family, whose network is sized for images; pass --data DATA.h5 too, or a recipe: grn-celeba64, grn-digits, grn-mnist"
    assert f"--recipe grn: {said}\n" in err


def test_images_alone_are_examined_with_the_default_family(open_examination, data):
    """These digits have a recipe of that family."""
    assert open_examination(recipe="", data=data).subject.name.startswith("recipe grn-digits, revnet for 1×8×8")


def test_a_recipe_takes_the_shape_of_images(open_examination, tiny, tmp_path, write_images):
    odd = tmp_path / "mine.toml"
    shutil.copy(tiny, odd)
    data = write_images(tmp_path / "own.h5", shape=(3, 16, 24), source="folder")
    assert open_examination(recipe=str(odd), data=data).subject.name.startswith("recipe mine.toml, revnet for 3×16×24, ")


def test_a_checkpoint_has_its_own_images(run, tmp_path, data):
    code, _, err = run("--ckpt", tmp_path / "x.safetensors", "--data", data)
    assert code == 2
    assert "leave one of the two out" in err


def test_a_recipe_that_fits_no_shape_is_refused(tmp_path, open_examination, monkeypatch):
    odd = tmp_path / "mine.toml"
    odd.write_text('[model]\nname = "revnet"\nscales = []\n[prior]\nname = "active-gaussian"\ndim = 4\n')
    with pytest.raises(UsageError, match="the shape of its images is not known.*pass --data or --ckpt, or put one of celebahq256"):
        open_examination(recipe=str(odd))


@pytest.mark.parametrize(
    ("name", "shape"), [("grn-celeba64", (3, 64, 64)), ("inn-celeba", (3, 156, 128)), ("aeotgan-celebahq256", (3, 256, 256))]
)
def test_built_in_recipes_have_the_shape_of_their_data(tmp_path, name, shape):
    images, *_, guessed = opening._fitting(read_recipe(name), name, tmp_path)
    assert (images.image_shape, guessed) == (shape, "")
