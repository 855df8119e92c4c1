"""genrev compare"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.fid import PROTOCOL, RefSplit
from genrev_cli.cli.generate import registered


@registered("compare", "genrev compare adversarial-*.safetensors plain=recon.safetensors")
@options.expanded
def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[LABEL=]CKPT[+SAMPLER]...",
            help="Checkpoints, with the file of fit-ot or fit-gmm that codes are to come from or without; those that differ in "
            "their seeds alone make one row.",
        ),
    ],
    of: options.Features,
    out: Annotated[Path, typer.Option("--out", help="Page to write (.html).", rich_help_panel=options.FILES)] = Path("compare.html"),
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Prepared images (.h5); default: those the first was trained on.", rich_help_panel=options.FILES),
    ] = None,
    ref: Annotated[str, typer.Option("--ref", help="Real images, as for fid; default: the data.", rich_help_panel=options.FILES)] = "",
    split: RefSplit = "",
    title: Annotated[str, typer.Option("--title", help="The page's heading.", rich_help_panel=options.FILES)] = "",
    n: Annotated[int, typer.Option("-n", "--n", min=2, help="Samples of each model.", rich_help_panel=PROTOCOL)] = 2000,
    metrics: Annotated[
        str, typer.Option("--metrics", help="fid, kid, prdc, recon, bpd, with commas; sorted by the first.", rich_help_panel=PROTOCOL)
    ] = "fid,recon",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples, the same for all.", rich_help_panel=PROTOCOL)] = 0,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Put models of one data set side by side: a table, samples from the same seeds, reconstructions of the same images, curves."""
    from genrev_cli.stages.compare import CompareOptions, compare

    names = tuple(name.strip() for name in metrics.split(","))
    choices = CompareOptions(data, ref, split, n, names, seed, of.options(), device)
    result = compare(models, out, choices, title=title, progress=listener())
    report(result, as_json=json)
