"""genrev info, genrev report, genrev card"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.console import report, show
from genrev_cli.cli.generate import Group, One, add_command, out_option, sampler_part
from genrev_cli.result import Result
from genrev_cli.settings.pages import CardSettings, InfoSettings, ReportSettings


def _info(file: Path, settings: InfoSettings, *, as_json: bool) -> None:
    from genrev_cli.stages.info import info

    result = info(file, settings)
    if as_json or settings.strip:
        report(result, as_json=as_json)
    else:
        show(result)


def _report(files: list[Path], out: Path, settings: ReportSettings) -> Result:
    from genrev_cli.stages.report import report

    return report(files, out, settings, progress=listener())


def _card(ckpt: Path, out: Path, settings: CardSettings) -> Result:
    from genrev_cli.stages.card import model_card

    return model_card(ckpt, out, settings, progress=listener())


_FILES = "Checkpoints, pictures, scores, samples, codes, data: any files that genrev made."

add_command(
    "info",
    "Print a file's header and the whole chain of what it was made from. With --strip, write a copy without paths of this machine, "
    "to publish it.",
    example="genrev info adversarial.safetensors --verify",
    parts={
        "file": One("file", Annotated[Path, typer.Argument(help="Any file or folder that genrev made.")]),
        "settings": Group(InfoSettings),
    },
    run=_info,
    prints=True,
)

add_command(
    "report",
    "Make one self-contained page of pictures, curves, numbers and the commands behind them.",
    example="genrev report *.safetensors *.png *.json --out report.html",
    parts={
        "files": One("files", Annotated[list[Path], typer.Argument(help=_FILES)]),
        "out": out_option(Path("report.html"), "Page to write (.html)."),
        "settings": Group(ReportSettings),
    },
    run=_report,
)

add_command(
    "card",
    "Write a model card (README.md with pictures) for publishing a checkpoint: what it is, how it was made, its scores, how to use it.",
    example="genrev card adversarial.safetensors --score fid.json --out model_card",
    parts={
        "ckpt": One("ckpt", Annotated[Path, typer.Argument(help="Checkpoint (.safetensors) of a training command.")]),
        "out": out_option(Path("model_card"), "Folder to write README.md and pictures to; other files in it stay."),
        "settings": Group(CardSettings, sampler=sampler_part()),
    },
    run=_card,
)
