"""genrev fid"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

PROTOCOL = "Protocol"


@app.command(rich_help_panel="Score", epilog="$ genrev fid samples/ --ref celeba")
def fid(
    samples: Annotated[Path, typer.Argument(help="Images to score: a folder, zip, .h5, .npz or .npy.")],
    ref: Annotated[
        str,
        typer.Option(
            "--ref", help="celeba, cifar10, digits, mnist (data/NAME.h5), any images, or statistics (.npz).", rich_help_panel=options.FILES
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Result to write (.json); default: SAMPLES.fid.json.", rich_help_panel=options.FILES)
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="Of a prepared reference: train, val, test or all; default: test.", rich_help_panel=options.FILES)
    ] = "",
    n: Annotated[int, typer.Option("-n", "--n", min=0, help="The first so many samples; 0 is all.", rich_help_panel=PROTOCOL)] = 0,
    features: Annotated[
        str,
        typer.Option(
            "--features", help="inception (the FID), or pixel (an FD-pixel, which is no FID; needs no weights).", rich_help_panel=PROTOCOL
        ),
    ] = "inception",
    profile: Annotated[
        str, typer.Option("--profile", help="How images are prepared: as pytorch-fid, tf or torchmetrics do.", rich_help_panel=PROTOCOL)
    ] = "pytorch-fid",
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", help="Inception's weights; default: $GENREV_WEIGHTS, the usual folders, else fetched.", rich_help_panel=PROTOCOL
        ),
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Keep the reference's statistics, by content.", rich_help_panel=options.RUN)
    ] = True,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Measure the Fréchet distance between the features of two sets of images, and say exactly what was measured."""
    from genrev_cli.stages.fid import FidOptions, fid

    target = out or samples.with_name(f"{samples.name}.fid.json")
    choices = FidOptions(ref, split, n, features, profile, weights, device, cache)
    report(fid(samples, target, choices, progress=listener()), as_json=json)
