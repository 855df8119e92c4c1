"""genrev fit-gmm"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.generate import registered


@registered("fit-gmm", "genrev fit-gmm codes.h5 --components 10 --out gmm.safetensors")
def fit_gmm(
    codes: options.Codes,
    out: Annotated[Path, typer.Option("--out", help="Sampler to write (.safetensors).", rich_help_panel=options.FILES)] = Path(
        "gmm.safetensors"
    ),
    components: Annotated[int, typer.Option("--components", min=1, help="How many Gaussians.", rich_help_panel=options.METHOD)] = 10,
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Fit a mixture of Gaussians to codes, from which sample, fid and compare can draw in the place of the prior."""
    from genrev_cli.stages.fit_gmm import fit_gmm

    report(fit_gmm(codes, out, components=components, seed=seed, progress=listener()), as_json=json)
