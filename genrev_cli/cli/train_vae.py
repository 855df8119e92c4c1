"""genrev train-vae"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

Variant = options.Overrides(str, "--variant", "vae, wae-mmd or wae-gan.", options.METHOD)
WeightX = options.Overrides(float, "--weight-x", "Weight of the squared error of an image (wae).", options.METHOD)
WeightPenalty = options.Overrides(float, "--weight-penalty", "Weight λ of the penalty on codes (wae).", options.METHOD)
DecoderStd = options.Overrides(float, "--decoder-std", "Standard deviation of pixels given a code; 0: the likeliest (vae).", options.METHOD)


@app.command("train-vae", rich_help_panel="Train", epilog="$ genrev train-vae --data data/mnist.h5 --variant wae-mmd --out wae.safetensors")
@options.expanded
def train_vae(
    data: options.Data,
    training: options.Training,
    evaluation: options.Evaluation,
    out: Annotated[Path, typer.Option("--out", help="Checkpoint to write.", rich_help_panel=options.FILES)] = Path("vae.safetensors"),
    recipe: options.Recipe = "",
    variant: Variant = None,
    lr: options.Lr = None,
    weight_x: WeightX = None,
    weight_penalty: WeightPenalty = None,
    decoder_std: DecoderStd = None,
    json: options.Json = False,
) -> None:
    """Train a variational autoencoder, or a Wasserstein one by MMD or against a discriminator of codes.

    Without --recipe, the one of the variant for the data's source is used (vae-mnist for MNIST, …), without --variant vae. Run again, it
    goes on where it stopped.
    """
    from genrev_cli.stages.train_vae import STAGE, train_vae

    method = options.given(variant=variant, lr=lr, weight_x=weight_x, weight_penalty=weight_penalty, decoder_std=decoder_std)
    overrides = {STAGE: training.schedule() | method}
    report(train_vae(data, out, recipe=recipe, overrides=overrides, run=training.run(evaluation), progress=listener()), as_json=json)
