"""genrev sweep-bottleneck"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report, report_tables


@app.command(
    "sweep-bottleneck",
    rich_help_panel="Score",
    epilog="$ genrev sweep-bottleneck --data data/mnist.h5 --recipes inn-mnist,classic-mnist --dims 2,12,32,64 --out sweep/",
)
@options.expanded
def sweep_bottleneck(
    data: options.Data,
    training: options.Training,
    recipes: Annotated[str, typer.Option("--recipes", help="Models to train, with commas.", rich_help_panel=options.METHOD)],
    dims: Annotated[
        str, typer.Option("--dims", help="Numbers of latent dimensions, with commas.", rich_help_panel=options.METHOD)
    ] = "1,2,3,4,6,8,12,16,24,32,48,64",
    out: Annotated[
        Path, typer.Option("--out", help="Folder for checkpoints, scores, table and plots.", rich_help_panel=options.FILES)
    ] = Path("sweep"),
    split: options.Split = "test",
    json: options.Json = False,
) -> None:
    """Train several models with several numbers of latent dimensions each, and plot how well they reconstruct.

    Run again, what is done is not done again, and what was interrupted goes on.
    """
    from genrev_cli.stages.sweep import sweep_bottleneck

    sizes = options.numbers("--dims", dims)
    models = [word.strip() for word in recipes.split(",")]
    result = sweep_bottleneck(
        data, out, recipes=models, dims=sizes, split=split, schedule=training.schedule(), run=training.run(), progress=listener()
    )  # fmt: skip
    if json:
        report(result, as_json=True)
    else:
        report_tables(result)
