"""genrev train-gan"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report
from genrev_cli.errors import UsageError

Ckpt = Annotated[
    Path | None,
    typer.Option("--ckpt", help="Autoencoder to start from; without it, a GAN from noise on --data.", rich_help_panel=options.FILES),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Prepared images (.h5); default: those that --ckpt was trained on.", rich_help_panel=options.FILES),
]
Ot = Annotated[
    Path | None,
    typer.Option("--ot", help="Map of fit-ot that generated codes are drawn from, not from the prior.", rich_help_panel=options.FILES),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Checkpoint to write; default: gan.safetensors beside --ckpt, or here.", rich_help_panel=options.FILES),
]
Latent = Annotated[
    str,
    typer.Option(
        "--latent", help="ot or gaussian: what generated codes must be.", show_default="ot with --ot", rich_help_panel=options.METHOD
    ),
]
Loss = options.Overrides(str, "--loss", "vanilla, hinge-sn (SNGAN), wgan-gp, wgan-div or wgan-qc.", options.METHOD)
LrDiscriminator = options.Overrides(float, "--lr-discriminator", "Learning rate of the discriminator.", options.TRAINING)
GeneratorUpdates = options.Overrides(int, "--generator-updates", "Updates of the generator in a step.", options.METHOD)
WeightAdversarial = options.Overrides(float, "--weight-adversarial", "Weight of the adversarial loss.", options.METHOD)
WeightContent = options.Overrides(float, "--weight-content", "Weight of the loss between images and their decoded codes.", options.METHOD)
WeightFeature = options.Overrides(float, "--weight-feature", "Weight of the loss between codes and those of decoded codes.", options.METHOD)


@app.command("train-gan", rich_help_panel="Train", epilog="$ genrev train-gan --ckpt recon.safetensors --ot ot.safetensors")
@options.expanded
def train_gan(
    training: options.Training,
    evaluation: options.Evaluation,
    ckpt: Ckpt = None,
    ot: Ot = None,
    data: Data = None,
    out: Out = None,
    recipe: options.Recipe = "",
    loss: Loss = None,
    latent: Latent = "",
    lr: options.Lr = None,
    lr_discriminator: LrDiscriminator = None,
    generator_updates: GeneratorUpdates = None,
    weight_adversarial: WeightAdversarial = None,
    weight_content: WeightContent = None,
    weight_feature: WeightFeature = None,
    json: options.Json = False,
) -> None:
    """Train a GAN whose generator starts from an autoencoder's decoder, on codes of a transport map; or one from noise.

    Without --recipe, the checkpoint's own is used, and without --ckpt the one for the data's source (gan-mnist for MNIST, …).
    Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.samplers import SamplerFile
    from genrev_cli.stages.train_gan import STAGE, train_gan

    require_latent(latent, ot)
    method = options.given(
        loss=loss, lr=lr, lr_discriminator=lr_discriminator, generator_updates=generator_updates, weight_adversarial=weight_adversarial,
        weight_content=weight_content, weight_feature=weight_feature,
    )  # fmt: skip
    target = out or (ckpt.with_name("gan.safetensors") if ckpt else Path("gan.safetensors"))
    result = train_gan(
        target, ckpt=ckpt, data=data, ot=SamplerFile(ot, "ot") if ot else None, recipe=recipe,
        overrides={STAGE: training.schedule() | method}, run=training.run(evaluation), progress=listener(),
    )  # fmt: skip
    report(result, as_json=json)


def require_latent(latent: str, ot: Path | None) -> None:
    """Raise UsageError where --latent and --ot contradict each other."""
    if latent not in ("", "ot", "gaussian"):
        raise UsageError(f"--latent {latent}: choose ot or gaussian")
    if latent == "ot" and ot is None:
        raise UsageError("--latent ot: needs --ot FILE; 'genrev fit-ot' makes one")
    if latent == "gaussian" and ot is not None:
        raise UsageError(f"--latent gaussian: contradicts --ot {ot}; leave one of them out")
