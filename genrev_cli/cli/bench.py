"""genrev bench"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import app, options
from genrev_cli.cli.console import listener, report, report_tables

SIZE = "Size"


@app.command(rich_help_panel="Look", epilog="$ genrev bench fid --only frechet,moments --rounds 5 --threads 1")
def bench(
    name: Annotated[str, typer.Argument(help="What to measure: fid, inn or ot.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Result to write (.json); default: bench-NAME.json.", rich_help_panel=options.FILES)
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            help="Sections: extraction, frechet, moments of fid; step of inn; minibatch, semidiscrete of ot.",
            show_default="all",
            rich_help_panel=SIZE,
        ),
    ] = "",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed runs of each variant, in turn.", rich_help_panel=SIZE)] = 3,
    images: Annotated[int, typer.Option("--images", min=2, help="Per run, where images are run.", rich_help_panel=SIZE)] = 100,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, to see that it works; no measurement.", rich_help_panel=SIZE)
    ] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="Measure bf16 also where the CPU emulates it.", rich_help_panel=SIZE)] = False,
    threads: Annotated[
        int, typer.Option("--threads", min=0, help="Of PyTorch, NumPy and SciPy; 0 is what each takes.", rich_help_panel=options.RUN)
    ] = 0,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Measure genrev against published tools: both in one process, in turn, with how far their results are apart."""
    from genrev_cli.bench.harness import BenchOptions
    from genrev_cli.bench.run import bench

    sections = tuple(word.strip() for word in only.split(",") if word.strip())
    choices = BenchOptions(sections, rounds, threads, images, device, quick, bf16)
    result = bench(name, out or Path(f"bench-{name}.json"), choices, progress=listener())
    if json:
        report(result, as_json=True)
    else:
        report_tables(result)
