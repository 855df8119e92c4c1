"""genrev bench"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.generate import registered

SIZE = "Size"


@registered("bench", "genrev bench fid --only frechet,moments --rounds 5 --threads 1")
def bench(
    name: Annotated[str, typer.Argument(help="What to measure: batches, fid, inn, ot, revnet or sample.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Result to write (.json); default: bench-NAME.json.", rich_help_panel=options.FILES)
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            help="Sections: extraction, frechet, moments of fid; minibatch, semidiscrete, drawing of ot; step, depth of revnet.",
            show_default="all",
            rich_help_panel=SIZE,
        ),
    ] = "",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed runs of each variant, in turn.", rich_help_panel=SIZE)] = 3,
    images: Annotated[
        int | None,
        typer.Option("--images", min=2, help="Per run.", show_default="100 of fid, 1024 of batches, 128 of sample", rich_help_panel=SIZE),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", min=1, help="Images at a time.", show_default="16 of revnet, 64 of inn, batches, sample", rich_help_panel=SIZE
        ),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(
            "--path", help="Folder of JPEGs or PNGs for batches.", show_default="images drawn for it", rich_help_panel=options.FILES
        ),
    ] = None,
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
    """Measure genrev against published tools: both in one process, in turn, with how far their results are apart.

    A ratio is how many times faster than the table's first row: the median over rounds, its least and greatest value, and that of the
    CPU's time, beside what was wanted. A tool that is not installed is named and left out.

    On a GPU: --device cuda. The clock then waits for the device before and after each run, extra_peak_mb is what PyTorch allocated there
    at most, beyond the network, and ratio_cpu is only what the CPU took to keep the device busy.
    """
    from genrev_cli.bench.harness import BenchOptions
    from genrev_cli.bench.run import bench

    sections = tuple(word.strip() for word in only.split(",") if word.strip())
    choices = BenchOptions(sections, rounds, threads, images or 0, batch or 0, path, device, quick, bf16)
    result = bench(name, out or Path(f"bench-{name}.json"), choices, progress=listener())
    report(result, as_json=json)
