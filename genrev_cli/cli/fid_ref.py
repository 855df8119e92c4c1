"""genrev fid-ref"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option, path_option
from genrev_cli.result import Result
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidRefSettings


def _fid_ref(name: str, data: Path | None, out: Path | None, settings: FidRefSettings) -> Result:
    from genrev_cli.stages.fid_ref import fid_ref

    return fid_ref(name, settings, data=data, out=out, progress=listener())


_NAMES = "celeba, celeba-crop108, celeba-nocrop, celebahq256, cifar10, cifar10-test, mnist, mnist-train or digits."

add_command(
    "fid-ref",
    "Compute the statistics of a named reference, such as celeba, once for all models. `fid --ref NAME` finds them in data/.",
    example="genrev fid-ref celeba",
    parts={
        "name": One("name", Annotated[str, typer.Argument(help=_NAMES)]),
        "data": path_option("data", "Prepared images (.h5); default: data/NAME.h5, as the name's description says."),
        "settings": Group(FidRefSettings, features=Group(FeatureOptions)),
        "out": out_option(None, "Statistics to write (.npz); default: where fid looks."),
    },
    run=_fid_ref,
)
