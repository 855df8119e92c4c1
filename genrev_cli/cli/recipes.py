"""genrev recipes"""

from collections.abc import Iterator
from typing import Annotated

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.console import put_out, report
from genrev_cli.cli.generate import Group, One, add_command
from genrev_cli.cli.layout import wrapped
from genrev_cli.recipes.words import count, span
from genrev_cli.result import Result
from genrev_cli.settings.recipes import RecipesOptions

_NAME = "Print this recipe as TOML, to edit; of a family, with --for, the one for these images."


def _recipes(name: str, settings: RecipesOptions, *, as_json: bool) -> None:
    from genrev_cli.stages.recipes import recipes

    result = recipes(name, settings, listener())
    if as_json:
        report(result, as_json=True)
    elif "toml" in result.numbers:
        put_out(result.numbers["toml"].rstrip("\n"), exact=True)
    else:
        for line in _families(result) if "families" in result.numbers else _fitting(result):
            put_out(line)


def _families(result: Result) -> Iterator[str]:
    """Yield the built-in recipes, below the family that they belong to."""
    for family in result.numbers["families"]:
        yield from wrapped(f"{family['family']:<9}", f"{family['about']}; {', '.join(family['commands'])}")
        for one in family["recipes"]:
            shape = "×".join(map(str, one["shape"] or ()))
            yield f"  {one['name']:<25}{one['source'] or 'any':<11}{shape:<13}{count(one['parameters'])}".rstrip()
    yield ""
    yield from wrapped(
        "", "For other images each family has a rule: 'genrev recipes --for DATA.h5' shows what it plans and how long that takes."
    )
    yield from wrapped("", "'genrev recipes NAME > my.toml' makes a file to edit; train with '--recipe my.toml'.")


def _fitting(result: Result) -> Iterator[str]:
    """Yield a table of what fits some images."""
    found = result.numbers
    measured = any("seconds_per_step" in row for row in found["fitting"])
    where = f"; measured on {found['device']}, threads: {found['threads']}" if measured else ""
    yield from wrapped("", f"{found['images']} in {found['data']}{where}")
    more = f"{'s/step':>9}{'MB':>7}{'total':>8}" if measured else ""
    yield f"{'recipe, or rule (size)':<24}{'command':<15}{'param.':>7}{'steps':>8}{more}"
    for row in found["fitting"]:
        cells = f"{row['name']:<24}{row['command']:<15}{count(row['parameters']):>7}{row['steps']:>8}"
        if "seconds_per_step" in row:
            seconds = ("~" if row["scaled"] else "") + format(row["seconds_per_step"], ".3g")
            megabytes = format(row["megabytes"], ".0f" if row["megabytes"] >= 9.5 else ".2g")
            cells += f"{seconds:>9}{megabytes:>7}{span(row['hours']):>8}"
        yield cells
        if "failed" in row:
            yield from wrapped("    ", row["failed"])
    for note in found["notes"]:
        yield from wrapped("  ", note)
    if any(row.get("scaled") for row in found["fitting"]):
        yield "  ~: from a smaller batch, in proportion"
    yield from wrapped("", f"'genrev recipes FAMILY --for {found['data']}' prints the values of a rule and how each was chosen.")


add_command(
    "recipes",
    "List the built-in recipes, or print one of them to edit.\n\n"
    "With --for, list what fits these images: the built-in recipe for their source, and the rule of each family, which sizes network, "
    "batch and steps for any images; with parameters, memory and the measured seconds of a step here.",
    example="genrev recipes --for data/photos.h5 --size-of-model small",
    parts={
        "name": One("name", Annotated[str, typer.Argument(help=_NAME, show_default=False)], ""),
        "settings": Group(RecipesOptions),
    },
    run=_recipes,
    prints=True,
)
