"""genrev pretrain-recon"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

Dims = options.Overrides(int, "--dims", "Active latent dimensions d.", options.METHOD)
Bound = options.Overrides(float, "--bound", "Clamp active dimensions to ±bound; 0 does not.", options.METHOD)


@app.command("pretrain-recon", rich_help_panel="Train", epilog="$ genrev pretrain-recon --data data/mnist.h5 --out recon.safetensors")
def pretrain_recon(
    data: options.Data,
    out: Annotated[Path, typer.Option("--out", help="Checkpoint to write.", rich_help_panel=options.FILES)] = Path("recon.safetensors"),
    recipe: options.Recipe = "",
    steps: options.Steps = None,
    epochs: options.Epochs = None,
    batch: options.TrainBatch = None,
    lr: options.Lr = None,
    precision: options.Precision = None,
    ema_halflife_images: options.Ema = None,
    seed: options.TrainSeed = None,
    weight_x: options.WeightX = None,
    weight_z: options.WeightZ = None,
    dims: Dims = None,
    bound: Bound = None,
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
    """Train an autoencoder to reconstruct images from a restricted latent.

    Without --recipe, the one for the data's source is used (grn-mnist for MNIST, …). Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.pretrain_recon import STAGE, pretrain_recon
    from genrev_cli.stages.training import RunOptions

    schedule = options.given(steps=steps, epochs=epochs, batch=batch, precision=precision, ema_halflife_images=ema_halflife_images, seed=seed)
    method = options.given(lr=lr, weight_x=weight_x, weight_z=weight_z)
    overrides = {STAGE: schedule | method, "prior": options.given(dim=dims, bound=bound)}
    run = RunOptions(device, restart, dry_run, log_every, monitor_every, preview_every, save_minutes, resident_megabytes)
    report(pretrain_recon(data, out, recipe=recipe, overrides=overrides, run=run, progress=listener()), as_json=json)
