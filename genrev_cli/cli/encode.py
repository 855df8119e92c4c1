"""genrev encode"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.generate import registered


@registered("encode", "genrev encode --ckpt adversarial.safetensors --out codes.h5")
def encode(
    ckpt: options.Ckpt,
    data: options.CkptData = None,
    out: Annotated[Path, typer.Option("--out", help="Codes to write (.h5).", rich_help_panel=options.FILES)] = Path("codes.h5"),
    split: options.Split = "train",
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="All latent dimensions, not clipped; without it, the active ones, clipped.", rich_help_panel=options.METHOD
        ),
    ] = False,
    batch: options.BatchSize = 256,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Encode every image of a split to its latent code."""
    from genrev_cli.stages.encode import encode

    report(encode(ckpt, out, data=data, split=split, full=full, batch=batch, device=device, progress=listener()), as_json=json)
