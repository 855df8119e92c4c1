"""Which recipe a command uses: --recipe, the built-in one for the source, or the rule."""

from pathlib import Path

import pytest

from genrev_cli.config import read_recipe
from genrev_cli.errors import UsageError
from genrev_cli.recipes.choice import choose, is_family
from genrev_cli.recipes.rules import Facts

FACTS = Facts((3, 64, 64), 303)


def chosen(command="pretrain-recon", family="grn", source="folder", recipe="", size="", misfit=""):
    return choose(command, family, FACTS, source=source, data=Path("x.h5"), recipe=recipe, size=size, misfit=lambda tables: misfit)


def test_a_source_with_a_recipe_gets_it():
    found = chosen(source="celeba")
    assert (found.name, found.size, found.reason) == ("grn-celeba64", "", "")
    assert found.origin == {"recipe": "grn-celeba64", "recipe_tables": read_recipe("grn-celeba64")}


def test_a_source_without_a_recipe_gets_the_rule():
    found = chosen()
    assert (found.name, found.size, found.reason) == ("rule grn (base) for 3×64×64, 303 images", "base", "no recipe for 'folder'")
    assert found.origin["recipe_size"] == "base"


def test_a_size_means_the_rule():
    found = chosen(source="celeba", size="small")
    assert (found.name, found.reason) == ("rule grn (small) for 3×64×64, 303 images", "--size-of-model small")


def test_a_recipe_that_does_not_fit_is_named():
    found = chosen(source="celeba", misfit="too many scales")
    assert (found.size, found.reason) == ("base", "the recipe grn-celeba64 does not fit x.h5 (too many scales)")


def test_a_family_may_be_named():
    assert chosen(source="celeba", recipe="inn").name == "inn-celeba"
    assert chosen(recipe="classic").name == "rule classic (base) for 3×64×64, 303 images"
    assert chosen("fit-features", "features", recipe="features").name == "features", "a recipe of that name comes first"
    assert chosen("fit-features", "features", recipe="features", size="small").size == "small"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            {"recipe": "grn-mnist", "size": "small"},
            "--size-of-model small: does not apply to a recipe; leave out --recipe grn-mnist, or",
        ),
        (
            {"recipe": "my.toml", "size": "small"},
            "--size-of-model small: does not apply to a recipe; leave out --recipe my.toml, or",
        ),
        ({"recipe": "vae"}, "--recipe vae: is a family of train-vae; pretrain-recon takes "),
        ({"recipe": "clasic"}, "--recipe clasic: no such recipe; did you mean 'classic'?"),
        ({"recipe": "zzz"}, "--recipe zzz: no such recipe; 'genrev recipes' lists all; a .toml file is possible too"),
        ({"family": "swae"}, "x.h5: genrev has no recipe for data from 'folder'; give a .toml file with --recipe"),
    ],
)
def test_what_cannot_be_chosen(asked, sentence):
    with pytest.raises(UsageError) as error:
        chosen(**asked)
    assert str(error.value).startswith(sentence)


def test_a_file_is_no_family():
    assert not is_family("grn.toml", "pretrain-recon")
    assert is_family("grn", "pretrain-recon")
