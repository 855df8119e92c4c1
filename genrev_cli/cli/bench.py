"""genrev bench"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.errors import UsageError
from genrev_cli.result import Result
from genrev_cli.settings.bench import BenchOptions


def _bench(name: str, sections: list[str] | None, out: Path | None, settings: BenchOptions) -> Result:
    from genrev_cli.bench.run import bench

    if sections and settings.only:
        raise UsageError(f"{' '.join(sections)} and --only {','.join(settings.only)}: give the sections once")
    settings = replace(settings, only=tuple(sections)) if sections else settings
    return bench(name, out or Path(f"bench-{name}.json"), settings, progress=listener())


add_command(
    "bench",
    """Compare the speed of genrev with that of published tools, side by side in one process, and how far their results differ.

    A ratio is how many times faster than the table's first row: the median over rounds, its least and greatest value, and that of the
    CPU's time, beside the target. A tool that is not installed is named and left out.

    growth measures how CPU time and peak memory grow with sizes, as exponents: 1 is linear.

    task runs whole commands and the programs that people use now instead, each in its own process, and also draws bars (.png).

    On a GPU: --device cuda. The clock then waits for the device before and after each run, extra_peak_mb is the most that PyTorch
    allocated there beyond the network, and ratio_cpu counts only the CPU time that keeps the device busy.
    """,
    example="genrev bench fid --only frechet,moments --rounds 5 --threads 1",
    parts={
        "name": One("name", Annotated[str, typer.Argument(help="What to measure: batches, fid, growth, inn, ot, revnet, sample or task.")]),
        "sections": One("sections", Annotated[list[str] | None, typer.Argument(help="Some of its sections, as --only.")], None),
        "out": out_option(None, "Result to write (.json); default: bench-NAME.json."),
        "settings": Group(BenchOptions),
    },
    run=_bench,
)
