"""genrev train-adversarial"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

LrAdversary = options.Overrides(float, "--lr-adversary", "Learning rate of the adversary.", options.TRAINING)
PriorSamples = options.Overrides(int, "--prior-samples", "Prior samples per update of the adversary.", options.METHOD)


@app.command("train-adversarial", rich_help_panel="Train", epilog="$ genrev train-adversarial --ckpt recon.safetensors")
def train_adversarial(
    ckpt: options.Ckpt,
    data: options.CkptData = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Checkpoint to write; default: adversarial.safetensors beside --ckpt.", rich_help_panel=options.FILES)
    ] = None,
    recipe: options.Recipe = "",
    steps: options.Steps = None,
    epochs: options.Epochs = None,
    batch: options.TrainBatch = None,
    lr: options.Lr = None,
    lr_adversary: LrAdversary = None,
    precision: options.Precision = None,
    ema_halflife_images: options.Ema = None,
    seed: options.TrainSeed = None,
    weight_x: options.WeightX = None,
    weight_z: options.WeightZ = None,
    prior_samples: PriorSamples = None,
    device: options.Device = "auto",
    log_every: options.LogEvery = 50,
    monitor_every: options.MonitorEvery = 500,
    preview_every: options.PreviewEvery = 500,
    save_minutes: options.SaveMinutes = 10.0,
    resident_megabytes: options.ResidentMegabytes = 4096,
    restart: options.Restart = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Train a pretrained network against an adversary, so that its codes follow the prior.

    Without --recipe, the checkpoint's own is used. Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.train_adversarial import STAGE, train_adversarial
    from genrev_cli.stages.training import RunOptions

    schedule = options.given(steps=steps, epochs=epochs, batch=batch, precision=precision, ema_halflife_images=ema_halflife_images, seed=seed)
    method = options.given(lr=lr, lr_adversary=lr_adversary, weight_x=weight_x, weight_z=weight_z, prior_samples=prior_samples)
    run = RunOptions(device, restart, dry_run, log_every, monitor_every, preview_every, save_minutes, resident_megabytes)
    target = out or ckpt.with_name("adversarial.safetensors")
    overrides = {STAGE: schedule | method}
    result = train_adversarial(ckpt, target, data=data, recipe=recipe, overrides=overrides, run=run, progress=listener())
    report(result, as_json=json)
