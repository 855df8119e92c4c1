"""genrev prepare-data"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.prepare import PrepareConfig


def _prepare_data(settings: PrepareConfig, out: Path | None) -> Result:
    from genrev_cli.stages.prepare_data import prepare_data

    return prepare_data(settings, out or Path("data", f"{settings.source}.h5"), progress=listener())


_SOURCES = (
    "Built in: digits, mnist-small. Published: mnist, fashion-mnist, kmnist, emnist, cifar10, cifar100, svhn, stl10, celeba, celeba-hq. "
    "Your own: folder (of pictures; also a zip or tar), webdataset, parquet, array (.npz, .npy, .h5) or idx."
)

add_command(
    "prepare-data",
    "Decode, crop and resize images once, into one HDF5 file that every later stage reads.",
    example="genrev prepare-data mnist --path raw/mnist --out data/mnist.h5",
    parts={
        "settings": Group(PrepareConfig, source=One("source", Annotated[str, typer.Argument(help=_SOURCES)])),
        "out": out_option(None, "File to write; default: data/SOURCE.h5."),
    },
    run=_prepare_data,
)
