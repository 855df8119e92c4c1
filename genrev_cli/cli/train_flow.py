"""genrev train-flow"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report


@app.command("train-flow", rich_help_panel="Train", epilog="$ genrev train-flow --data data/mnist.h5 --out flow.safetensors")
@options.expanded
def train_flow(
    data: options.Data,
    training: options.Training,
    evaluation: options.Evaluation,
    out: Annotated[Path, typer.Option("--out", help="Checkpoint to write.", rich_help_panel=options.FILES)] = Path("flow.safetensors"),
    recipe: options.Recipe = "",
    lr: options.Lr = None,
    exact_bits: options.ExactBits = None,
    json: options.Json = False,
) -> None:
    """Train an invertible network by maximum likelihood, measured in bits per dimension.

    Without --recipe, the one for the data's source is used (flow-mnist for MNIST, …). Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.train_flow import STAGE, train_flow

    overrides = {STAGE: training.schedule() | options.given(lr=lr), "model": options.given(exact_bits=exact_bits)}
    result = train_flow(data, out, recipe=recipe, overrides=overrides, run=training.run(evaluation), progress=listener())
    report(result, as_json=json)
