"""genrev sample"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.generate import registered


@registered("sample", "genrev sample --ckpt adversarial.safetensors -n 10000 --out samples/ --grid samples.png")
@options.expanded
def sample(
    ckpt: options.Ckpt,
    sampling: options.Sampling,
    out: Annotated[
        Path, typer.Option("--out", help="A folder of PNGs, or a .h5 or .npz file, by its name.", rich_help_panel=options.FILES)
    ] = Path("samples"),
    grid: Annotated[
        Path | None, typer.Option("--grid", help="Also write the first 64 as one picture (.png).", rich_help_panel=options.FILES)
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", help="How many images.", rich_help_panel=options.METHOD)] = 64,
    seed: options.Seed = 0,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Scale of the codes: below 1 more typical, less diverse.", rich_help_panel=options.METHOD)
    ] = 1.0,
    classes: Annotated[
        str,
        typer.Option(
            "--class",
            help="Of this class alone, or of several in turn (0,3,7).",
            show_default="as they mix",
            rich_help_panel=options.METHOD,
        ),
    ] = "",
    batch: options.BatchSize = 64,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Generate images from the prior, or from a distribution fitted to codes. Image i depends on the seed and on i alone.

    With --class 0,1,2 image i is of class i mod 3, and the grid has a column for each.
    """
    from genrev_cli.settings.sampling import Draw
    from genrev_cli.stages.sample import sample

    draw = Draw(seed, temperature, options.numbers("--class", classes))

    result = sample(
        ckpt, out, n=n, draw=draw, sampler=sampling.file(), grid_file=grid, batch=batch, device=device, progress=listener()
    )  # fmt: skip
    report(result, as_json=json)
