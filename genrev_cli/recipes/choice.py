"""Choose the recipe of a training command: the one that is asked for, else the built-in one for the data's source, else a family's rule."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.config import read_recipe, recipe_names
from genrev_cli.errors import UsageError
from genrev_cli.recipes.built_in import built_in_for
from genrev_cli.recipes.rules import RULES, Facts, families_of
from genrev_cli.recipes.toml import plain
from genrev_cli.settings.base import listed
from genrev_cli.settings.sizes import BASE


@dataclass(frozen=True)
class Choice:
    """A recipe. name: a built-in name, a path, or 'rule grn (base) for 3×64×64, 303 images'. tables: its tables.

    size: that of a rule, else ''. reason: why a rule was used, for the user; '' for a recipe.
    """

    name: str
    tables: dict[str, Any]
    size: str = ""
    reason: str = ""

    @property
    def origin(self) -> dict[str, Any]:
        """Return what headers say of the recipe, for later stages."""
        return {"recipe": self.name, "recipe_tables": self.tables, **({"recipe_size": self.size} if self.size else {})}


def choose(
    command: str,
    family: str,
    facts: Facts,
    *,
    source: str,
    data: Path,
    recipe: str,
    size: str,
    misfit: Callable[[dict[str, Any]], str],
    wanted: Mapping[str, Any] | None = None,
) -> Choice:
    """Return the recipe of a command.

    family: of the command, or of its variant. source: of the data. recipe: what --recipe says: '', a family, a built-in name or a path.
    size: '' or one of SIZES, for which the family's rule is used. misfit: recipe's tables → why its network does not fit the images, or ''.
    wanted: key → value of the command's table; of several built-in recipes, one with these values is preferred.
    Raises UsageError for an unknown recipe, a size together with a recipe, and where neither recipe nor rule exists.
    """
    if recipe and not is_family(recipe, command) and not (size and recipe in RULES):  # 'features' is both
        if size:
            families = listed(tuple(families_of(command)))
            raise UsageError(
                f"--size-of-model {size}: does not apply to a recipe; leave out --recipe {recipe}, or name a family: {families}"
            )
        return Choice(recipe, read_recipe(recipe))
    family, reason = recipe or family, ""
    if not size:
        if name := built_in_for(family, source, lambda name: _has(name, command, wanted or {})):
            tables = read_recipe(name)
            if not (complaint := misfit(tables)):
                return Choice(name, tables)
            reason = f"the recipe {name} does not fit {data} ({complaint})"
        else:
            reason = f"no recipe for '{source}'"
    if family not in RULES:
        raise UsageError(f"{data}: genrev has no recipe for data from '{source}'; give a .toml file with --recipe")
    return by_rule(family, facts, size, reason or f"--size-of-model {size}")


def _has(name: str, command: str, wanted: Mapping[str, Any]) -> bool:
    """Return True if a built-in recipe's table of a command has all these values."""
    return not wanted or wanted.items() <= read_recipe(name).get(command, {}).items()


def by_rule(family: str, facts: Facts, size: str, reason: str) -> Choice:
    """Return what a family's rule plans for images. size: '' is base."""
    facts = Facts(facts.shape, facts.images, facts.classes, size or BASE)
    return Choice(f"rule {family} ({facts.size}) for {facts.described}", plain(RULES[family].tables(facts)), facts.size, reason)


def is_family(recipe: str, command: str) -> bool:
    """Return True if --recipe names a family of a command. Raises UsageError for a family of other commands, and for unknown names."""
    if recipe in recipe_names() or Path(recipe).suffix == ".toml":
        return False
    families = families_of(command)
    if recipe in RULES and recipe not in families:
        raise UsageError(
            f"--recipe {recipe}: is a family of {listed(RULES[recipe].commands)}; "
            f"{command} takes {listed((*families, 'a recipe'))} or a .toml file"
        )
    if recipe not in families:
        close = difflib.get_close_matches(recipe, [*families, *recipe_names()], 1)
        cure = f"did you mean '{close[0]}'?" if close else "'genrev recipes' lists all; a .toml file is possible too"
        raise UsageError(f"--recipe {recipe}: no such recipe; {cure}")
    return True
