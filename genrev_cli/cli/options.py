"""Files that several commands read, each option written once."""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.config import recipe_names
from genrev_cli.recipes.rules import RULES
from genrev_cli.settings.base import FILES

Ckpt = Annotated[
    Path,
    typer.Option(
        "--ckpt", help="Checkpoint (.safetensors) of a training command, or mnist, which comes with genrev.", rich_help_panel=FILES
    ),
]
Data = Annotated[Path, typer.Option("--data", help="Prepared images (.h5) of prepare-data.", rich_help_panel=FILES)]
CkptData = Annotated[
    Path | None,
    typer.Option("--data", help="Prepared images (.h5); default: those the checkpoint was trained on.", rich_help_panel=FILES),
]
Pictures = Annotated[
    list[Path] | None,
    typer.Argument(help="Pictures of any size, or folders or zips of them, instead of prepared images.", show_default=False),
]
Codes = Annotated[Path, typer.Argument(help="Codes (.h5) of encode.", show_default=False)]
Recipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="A built-in recipe, a .toml file, or a family (its recipe for these images); default: see above. 'genrev recipes' lists them.",
        rich_help_panel=FILES,
        autocompletion=lambda incomplete: [name for name in (*RULES, *recipe_names()) if name.startswith(incomplete)],
    ),
]
