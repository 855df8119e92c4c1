"""Rules: each sizes a recipe of its family for any images, from their shape, their number and the size that is asked for.

A rule is a pure function. It interpolates its papers' tables; the comments beside the values say how, and `genrev recipes --for data.h5
NAME` prints them. Every file of this folder that defines RULES adds its rules.
"""

from importlib import import_module
from pkgutil import iter_modules

from genrev_cli.plugins import register
from genrev_cli.recipes.rules.rule import Facts, Rule


def _built_in() -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for module in iter_modules(__path__, f"{__name__}."):
        found |= getattr(import_module(module.name), "RULES", {})
    return found


RULES = _built_in()
"""Family of recipes → its rule."""


def register_rule(family: str, rule: Rule) -> None:
    """Add the rule of a plugin's family, so that its command needs no recipe. Raises UsageError for a name that is taken."""
    register("rule", family, RULES, rule)


def families_of(command: str) -> list[str]:
    """Return the families whose recipes have a table for a command."""
    return [family for family, rule in RULES.items() if command in rule.commands]


__all__ = ["RULES", "Facts", "Rule", "families_of", "register_rule"]
