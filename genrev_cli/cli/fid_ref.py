"""genrev fid-ref"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.fid import Cache, RefSplit
from genrev_cli.cli.generate import registered


@registered("fid-ref", "genrev fid-ref celeba")
@options.expanded
def fid_ref(
    name: Annotated[
        str, typer.Argument(help="celeba, celeba-crop108, celeba-nocrop, cifar10, cifar10-test, mnist, mnist-train or digits.")
    ],
    of: options.Features,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Prepared images (.h5); default: data/NAME.h5, as the expansion says.", rich_help_panel=options.FILES),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Statistics to write (.npz); default: where fid looks.", rich_help_panel=options.FILES)
    ] = None,
    split: RefSplit = "",
    cache: Cache = True,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Measure the real images that a name means, once for all models: `fid --ref NAME` finds the statistics in data/."""
    from genrev_cli.stages.fid_ref import fid_ref

    result = fid_ref(name, data=data, split=split, features=of.options(), out=out, device=device, cache=cache, progress=listener())
    report(result, as_json=json)
