"""genrev fid"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option, sampler_part
from genrev_cli.errors import UsageError
from genrev_cli.result import Result
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions


def _fid(samples: Path | None, reference: str | None, out: Path | None, settings: FidOptions) -> Result:
    from genrev_cli.stages.fid import fid

    if reference and settings.ref:
        raise UsageError(f"{reference} and --ref {settings.ref}: both name the reference; give one of them")
    settings = replace(settings, ref=reference or settings.ref)
    return fid(samples, out or _target(samples, settings), settings, progress=listener())


def _target(samples: Path | None, settings: FidOptions) -> Path:
    """Return a path beside what is scored; any where nothing is, which the stage refuses."""
    if samples:
        beside = samples if samples.name else samples.resolve()  # '.' has no name of its own
        return beside.with_name(f"{beside.name}.fid.json")
    ckpt, drawn = settings.ckpt, f".{settings.sampler.name}" if settings.sampler else ""
    return ckpt.with_name(f"{ckpt.stem}{drawn}.fid.json") if ckpt else Path("fid.json")


_REFERENCE = "Real images to compare with, the same as --ref."
_HELP = "Images to score: a folder, zip, .h5, .npz or .npy; or statistics (.npz)."

add_command(
    "fid",
    "Measure the distance between two sets of images, or between a model's and real ones, and say exactly what was measured.",
    example="genrev fid samples/ --ref celeba",
    parts={
        "samples": One("samples", Annotated[Path | None, typer.Argument(help=_HELP, show_default=False)], None),
        "reference": One("reference", Annotated[str | None, typer.Argument(help=_REFERENCE, show_default=False)], None),
        "settings": Group(FidOptions, features=Group(FeatureOptions), sampler=sampler_part()),
        "out": out_option(None, "Result to write (.json); default: SAMPLES.fid.json, or CKPT.fid.json."),
    },
    run=_fid,
)
