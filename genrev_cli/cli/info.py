"""genrev info, genrev report"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report, show
from genrev_cli.cli.generate import registered


@registered("info", "genrev info adversarial.safetensors --verify")
def info(
    file: Annotated[Path, typer.Argument(help="Any file or folder that genrev made.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of it, and of its inputs still there, and check the checksums.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Print a file's header and the whole chain of what it was made from."""
    from genrev_cli.stages.info import info

    result = info(file, verify=verify)
    if json:
        report(result, as_json=True)
    else:
        show(result)


@registered("report", "genrev report *.safetensors *.png *.json --out report.html")
def make_report(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints, pictures, scores, samples, codes, data: any files that genrev made.")],
    out: Annotated[Path, typer.Option("--out", help="Page to write (.html).", rich_help_panel=options.FILES)] = Path("report.html"),
    title: Annotated[str, typer.Option("--title", help="Its heading.")] = "",
    json: options.Json = False,
) -> None:
    """Make one self-contained page of pictures, curves, numbers and the commands behind them."""
    from genrev_cli.stages.report import report as build

    report(build(files, out, title=title, progress=listener()), as_json=json)
