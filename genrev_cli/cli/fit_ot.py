"""genrev fit-ot"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report

MAP, SOLVER = "Map", "Solver"


@app.command("fit-ot", rich_help_panel="Latent space", epilog="$ genrev fit-ot codes.h5 --target-error 0.2 --out ot.safetensors")
def fit_ot(
    codes: options.Codes,
    out: Annotated[Path, typer.Option("--out", help="Map to write (.safetensors).", rich_help_panel=options.FILES)] = Path(
        "ot.safetensors"
    ),
    per_class: Annotated[
        bool, typer.Option("--per-class", help="A map for each label, from which sample --class can draw.", rich_help_panel=MAP)
    ] = False,
    theta: Annotated[
        str,
        typer.Option(
            "--theta", help="Largest angle between joined cells, in radians; auto puts it between the modes.", rich_help_panel=MAP
        ),
    ] = "auto",
    rule: Annotated[
        str,
        typer.Option(
            "--rule",
            help="How codes are joined: barycentric, inverse-distance, two-cell (the published code's), nearest (not).",
            rich_help_panel=MAP,
        ),
    ] = "barycentric",
    neighbours: Annotated[int, typer.Option("--neighbours", min=1, help="Cells looked at around a sample.", rich_help_panel=MAP)] = 20,
    drop: Annotated[
        bool, typer.Option("--drop/--keep", help="Draw again where no cells are joined, or take the nearest code.", rich_help_panel=MAP)
    ] = False,
    target_error: Annotated[
        float,
        typer.Option(
            "--target-error", help="Root mean square relative error of the cells' masses, on fresh samples.", rich_help_panel=SOLVER
        ),
    ] = 0.2,
    max_samples: Annotated[
        int, typer.Option("--max-samples", min=0, help="Stop here if not before; 0 is 200 for each code.", rich_help_panel=SOLVER)
    ] = 0,
    precision: Annotated[
        str, typer.Option("--precision", help="Of the scores: auto, fp32, or bf16 where the device has it.", rich_help_panel=SOLVER)
    ] = "auto",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    save_minutes: options.SaveMinutes = 10.0,
    time_limit: options.TimeLimit = 0.0,
    restart: options.Restart = False,
    json: options.Json = False,
) -> None:
    """Fit a semi-discrete transport map from the uniform cube to codes: a sampler that draws between neighbouring codes.

    Run again, it goes on where it stopped.
    """
    from genrev_cli.stages.fit_ot import FitOtOptions, fit_ot

    choices = FitOtOptions(
        per_class,
        theta,
        rule,
        neighbours,
        drop,
        target_error,
        max_samples,
        precision,
        seed,
        device,
        save_minutes,
        restart,
        time_limit,
    )
    report(fit_ot(codes, out, choices, progress=listener()), as_json=json)
