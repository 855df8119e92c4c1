"""The built-in recipes: for which family, source and shape of images each is."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from genrev_cli.config import recipe_names

Shape = tuple[int, int, int]

SHAPES: dict[str, tuple[str, Shape]] = {
    "celebahq256": ("celeba-hq", (3, 256, 256)),
    "celeba64": ("celeba", (3, 64, 64)),
    "celeba": ("celeba", (3, 156, 128)),  # prepare-data celeba --crop none --size 128
    "cifar10": ("cifar10", (3, 32, 32)),
    "mnist": ("mnist", (1, 28, 28)),
    "digits": ("digits", (1, 8, 8)),
}
"""Part of a recipe's name → source and shape of its images; the first match counts."""

_OTHER_SHAPES: dict[str, Shape] = {"classic-celeba": (3, 218, 178)}  # prepare-data celeba --crop none
_MEASURED = {"features": ("digits", "mnist")}
"""A recipe for any images → the sources that it was measured on; for others the rule chooses the number of steps."""


@dataclass(frozen=True)
class BuiltIn:
    """A built-in recipe. source: '' for any. shape: (C, H, W) that its paper trains; None for any."""

    name: str
    family: str
    source: str
    shape: Shape | None


def built_in(name: str) -> BuiltIn:
    """Return what a built-in recipe is for, which its name says: 'aeotgan-cifar10-resnet'."""
    for part, (source, shape) in SHAPES.items():
        family, found, _ = name.partition(f"-{part}")
        if found:
            return BuiltIn(name, family, source, _OTHER_SHAPES.get(name, shape))
    return BuiltIn(name, name, "", None)


def built_in_for(family: str, source: str, suits: Callable[[str], bool] = lambda name: True) -> str:
    """Return the name of the built-in recipe of a family for a data source, '' if there is none.

    Of several, those that suit come first, then the shortest name. suits: name of a recipe → whether it has what is asked for.
    """
    family_recipes = [one for one in map(built_in, recipe_names()) if one.family == family]
    found = [one.name for one in family_recipes if source in (one.source, *_MEASURED.get(one.name, ()))]
    return min(found, key=lambda name: (not suits(name), len(name), name), default="")


def recipe_text(name: str) -> str:
    """Return the TOML of a built-in recipe, with its comments."""
    return resources.files("genrev_cli.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
