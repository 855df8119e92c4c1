"""genrev train-pga"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

Variant = options.Overrides(str, "--variant", "lpga (likelihood), vpga (variational) or lvpga (both).", options.METHOD)
WeightPrior = options.Overrides(float, "--weight-prior", "Weight α of finding codes of the prior again.", options.METHOD)
WeightCodes = options.Overrides(float, "--weight-codes", "Weight β of finding codes of images again.", options.METHOD)
WeightNll = options.Overrides(float, "--weight-nll", "Weight γ of the likelihood (lpga, lvpga).", options.METHOD)
WeightNoise = options.Overrides(float, "--weight-noise", "Weight γ of what steps of the posterior do (vpga, lvpga).", options.METHOD)
WeightKl = options.Overrides(float, "--weight-kl", "Weight γ of the KL divergence (vpga, lvpga).", options.METHOD)
WarmUp = options.Overrides(int, "--warm-up", "Steps by the image loss alone.", options.METHOD, 0)


@app.command("train-pga", rich_help_panel="Train", epilog="$ genrev train-pga --data data/mnist.h5 --variant vpga --out vpga.safetensors")
@options.expanded
def train_pga(
    data: options.Data,
    training: options.Training,
    evaluation: options.Evaluation,
    out: Annotated[Path, typer.Option("--out", help="Checkpoint to write.", rich_help_panel=options.FILES)] = Path("pga.safetensors"),
    recipe: options.Recipe = "",
    variant: Variant = None,
    lr: options.Lr = None,
    weight_prior: WeightPrior = None,
    weight_codes: WeightCodes = None,
    weight_nll: WeightNll = None,
    weight_noise: WeightNoise = None,
    weight_kl: WeightKl = None,
    warm_up: WarmUp = None,
    exact_bits: options.ExactBits = None,
    json: options.Json = False,
) -> None:
    """Train a perceptual generative autoencoder: generated images are compared with real ones as codes of the encoder.

    Without --recipe, the one of the variant for the data's source is used (lpga-mnist for MNIST, …), without --variant lpga. Run again, it
    goes on where it stopped.
    """
    from genrev_cli.stages.train_pga import STAGE, train_pga

    method = options.given(
        variant=variant, lr=lr, weight_prior=weight_prior, weight_codes=weight_codes, weight_nll=weight_nll, weight_noise=weight_noise,
        weight_kl=weight_kl, warm_up=warm_up,
    )  # fmt: skip
    overrides = {STAGE: training.schedule() | method, "model": options.given(exact_bits=exact_bits)}
    report(train_pga(data, out, recipe=recipe, overrides=overrides, run=training.run(evaluation), progress=listener()), as_json=json)
