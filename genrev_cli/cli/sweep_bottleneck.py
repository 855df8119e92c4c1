"""genrev sweep-bottleneck"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener
from genrev_cli.cli.generate import Group, One, ScheduleOverrides, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.base import METHOD
from genrev_cli.settings.schedule import RunOptions


def _sweep_bottleneck(data: Path, out: Path, recipes: str, dims: str, split: str, schedule: dict, run: RunOptions) -> Result:
    from genrev_cli.stages.sweep import sweep_bottleneck

    models = [word.strip() for word in recipes.split(",")]
    sizes = options.numbers("--dims", dims)
    return sweep_bottleneck(data, out, recipes=models, dims=sizes, split=split, schedule=schedule, run=run, progress=listener())


add_command(
    "sweep-bottleneck",
    "Train several models with several numbers of latent dimensions each, and plot how well they reconstruct.\n\n"
    "Run again, what is done is not done again, and what was interrupted goes on.",
    example="genrev sweep-bottleneck --data data/mnist.h5 --recipes inn-mnist,classic-mnist --dims 2,12,32,64 --out sweep/",
    parts={
        "data": One("data", options.Data),
        "out": out_option(Path("sweep"), "Folder for checkpoints, scores, table and plots."),
        "recipes": One("recipes", Annotated[str, typer.Option("--recipes", help="Models to train, with commas.", rich_help_panel=METHOD)]),
        "dims": One(
            "dims",
            Annotated[str, typer.Option("--dims", help="Numbers of latent dimensions, with commas.", rich_help_panel=METHOD)],
            "1,2,3,4,6,8,12,16,24,32,48,64",
        ),
        "split": One("split", options.Split, "test"),
        "schedule": ScheduleOverrides(),
        "run": Group(RunOptions),
    },
    run=_sweep_bottleneck,
)
