"""genrev fit-features"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

Dims = options.Overrides(int, "--dims", "Dimensions of the features.", options.METHOD, 1)
Width = options.Overrides(int, "--width", "Channels of the first convolution.", options.METHOD, 1)


@app.command("fit-features", rich_help_panel="Score", epilog="$ genrev fit-features --data data/mnist.h5 --out mnist-features.safetensors")
@options.expanded
def fit_features(
    data: options.Data,
    training: options.Training,
    out: Annotated[Path, typer.Option("--out", help="Classifier to write (.safetensors).", rich_help_panel=options.FILES)] = Path(
        "features.safetensors"
    ),
    recipe: options.Recipe = "",
    lr: options.Lr = None,
    dims: Dims = None,
    width: Width = None,
    json: options.Json = False,
) -> None:
    """Train a small classifier on labelled images, for 'fid --features FILE' to measure with where Inception makes no sense.

    Without --recipe, the recipe 'features' is used. Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.fit_features import STAGE, fit_features

    overrides = {STAGE: training.schedule() | options.given(lr=lr), "classifier": options.given(dims=dims, width=width)}
    result = fit_features(
        data, out, recipe=recipe or "features", overrides=overrides, run=training.run(), progress=listener()
    )  # fmt: skip
    report(result, as_json=json)
