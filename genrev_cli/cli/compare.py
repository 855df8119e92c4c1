"""genrev compare"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.compare import CompareOptions
from genrev_cli.settings.features import FeatureOptions


def _compare(models: list[str], out: Path, settings: CompareOptions) -> Result:
    from genrev_cli.stages.compare import compare

    return compare(models, out, settings, progress=listener())


Models = Annotated[
    list[str],
    typer.Argument(
        metavar="[LABEL=]CKPT[+SAMPLER]...",
        help="Checkpoints; SAMPLER is a file of fit-ot, fit-gmm or fit-flow to draw codes from. "
        "Those that differ only in their seeds make one row.",
    ),
]

add_command(
    "compare",
    "Put models of one data set side by side: a table, samples from the same seeds, reconstructions of the same images, curves.",
    example="genrev compare adversarial-*.safetensors plain=recon.safetensors",
    parts={
        "models": One("models", Models),
        "settings": Group(CompareOptions, features=Group(FeatureOptions)),
        "out": out_option(Path("compare.html"), "Page to write (.html)."),
    },
    run=_compare,
)
