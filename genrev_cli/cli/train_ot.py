"""genrev train-ot"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

WeightPerturbation = options.Overrides(float, "--weight-perturbation", "Weight of the perturbation loss.", options.METHOD)
Noise = options.Overrides(float, "--noise", "Standard deviation of the perturbation of the codes.", options.METHOD)


@app.command("train-ot", rich_help_panel="Train", epilog="$ genrev train-ot --data data/mnist.h5 --out transport.safetensors")
@options.expanded
def train_ot(
    data: options.Data,
    training: options.Training,
    evaluation: options.Evaluation,
    out: Annotated[Path, typer.Option("--out", help="Checkpoint to write.", rich_help_panel=options.FILES)] = Path("transport.safetensors"),
    recipe: options.Recipe = "",
    lr: options.Lr = None,
    weight_perturbation: WeightPerturbation = None,
    noise: Noise = None,
    exact_bits: options.ExactBits = None,
    json: options.Json = False,
) -> None:
    """Train a reversible network and a Gaussian for each class by exact optimal transport, without an adversary.

    Without --recipe, the one for the data's source is used (grn-ot-mnist for MNIST, …). Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.train_ot import STAGE, train_ot

    method = options.given(lr=lr, weight_perturbation=weight_perturbation, noise=noise)
    overrides = {STAGE: training.schedule() | method, "model": options.given(exact_bits=exact_bits)}
    report(train_ot(data, out, recipe=recipe, overrides=overrides, run=training.run(evaluation), progress=listener()), as_json=json)
