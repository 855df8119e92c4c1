"""genrev pretrain-recon"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

Dims = options.Overrides(int, "--dims", "Active latent dimensions d.", options.METHOD)
Bound = options.Overrides(float, "--bound", "Clamp active dimensions to ±bound; 0 does not.", options.METHOD)


@app.command("pretrain-recon", rich_help_panel="Train", epilog="$ genrev pretrain-recon --data data/mnist.h5 --out recon.safetensors")
@options.expanded
def pretrain_recon(
    data: options.Data,
    training: options.Training,
    evaluation: options.Evaluation,
    out: Annotated[Path, typer.Option("--out", help="Checkpoint to write.", rich_help_panel=options.FILES)] = Path("recon.safetensors"),
    recipe: options.Recipe = "",
    lr: options.Lr = None,
    weight_x: options.WeightX = None,
    weight_z: options.WeightZ = None,
    weight_mmd: options.WeightMMD = None,
    dims: Dims = None,
    bound: Bound = None,
    exact_bits: options.ExactBits = None,
    json: options.Json = False,
) -> None:
    """Train an autoencoder to reconstruct images from a restricted latent.

    Without --recipe, the one for the data's source is used (grn-mnist for MNIST, …). Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.pretrain_recon import STAGE, pretrain_recon

    method = options.given(lr=lr, weight_x=weight_x, weight_z=weight_z, weight_mmd=weight_mmd)
    overrides = {
        STAGE: training.schedule() | method,
        "prior": options.given(dim=dims, bound=bound),
        "model": options.given(exact_bits=exact_bits),
    }
    report(
        pretrain_recon(data, out, recipe=recipe, overrides=overrides, run=training.run(evaluation), progress=listener()),
        as_json=json,
    )
