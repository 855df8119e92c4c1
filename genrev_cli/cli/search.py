"""genrev search"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.search import SearchSettings

Space = Annotated[Path, typer.Argument(help="TOML file: what to train, and which settings to try.", show_default=False)]


def _search(*, space: Path, data: Path, out: Path, settings: SearchSettings, evaluation: EvalOptions, run: RunOptions) -> Result:
    from genrev_cli.stages.search import search

    return search(space, data, out, settings, run=run.scored(evaluation), progress=listener())


add_command(
    "search",
    "Train a network with many settings, learn from each trial which to try next, and keep the best.\n\n"
    "Run the same command in a second terminal, or on another machine with the same folder, to share the work. "
    "Run it again after an interruption: finished trials are kept, and an unfinished one goes on.",
    example="genrev search space.toml --data data/digits.h5 --out search/ --trials 20 --eval-every 100 --eval-features pixel",
    parts={
        "space": One("space", Space),
        "data": One("data", options.Data),
        "out": out_option(Path("search"), "Folder for the trials, best.toml and search.html."),
        "settings": Group(SearchSettings),
        "evaluation": Group(EvalOptions),
        "run": Group(RunOptions),
    },
    run=_search,
)
