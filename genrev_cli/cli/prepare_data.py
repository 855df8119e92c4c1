"""genrev prepare-data"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.console import listener, report
from genrev_cli.cli.generate import registered

IMAGES = "Images"


@registered("prepare-data", "genrev prepare-data mnist --path raw/mnist --out data/mnist.h5")
def prepare_data(
    source: Annotated[str, typer.Argument(help="digits (built in), mnist, cifar10, celeba, or folder (any folder or zip of images).")],
    path: Annotated[
        Path | None,
        typer.Option("--path", help="Folder or archive of the raw files; default: data/raw/SOURCE.", rich_help_panel=options.FILES),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; default: data/SOURCE.h5.", rich_help_panel=options.FILES)
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch what is missing (mnist, cifar10, celeba).", rich_help_panel=options.FILES)
    ] = False,
    size: Annotated[
        int,
        typer.Option(
            "--size", min=0, help="Side of the result in pixels; 0 keeps the source's own, 64 for CelebA.", rich_help_panel=IMAGES
        ),
    ] = 0,
    crop: Annotated[
        str, typer.Option("--crop", help="celeba: 140 (as WAE and the RevNet paper), 108 (as PGA) or none.", rich_help_panel=IMAGES)
    ] = "140",
    channels: Annotated[int, typer.Option("--channels", help="folder: 1 gray, 3 RGB, 0 as the images are.", rich_help_panel=IMAGES)] = 0,
    val_fraction: Annotated[
        float, typer.Option("--val-fraction", help="folder: share of the val split, where no folders say.", rich_help_panel=IMAGES)
    ] = 0.1,
    test_fraction: Annotated[
        float, typer.Option("--test-fraction", help="folder: share of the test split, where no folders say.", rich_help_panel=IMAGES)
    ] = 0.1,
    split_seed: Annotated[int, typer.Option("--split-seed", help="folder: seed of that split.", rich_help_panel=IMAGES)] = 0,
    skip_damaged: Annotated[
        bool,
        typer.Option(
            "--skip-damaged", help="Leave damaged images out and list them in the header, rather than stop.", rich_help_panel=IMAGES
        ),
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="The first so many images only; 0 is all.", rich_help_panel=IMAGES)] = 0,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Decoding processes; 0 is one per core.", rich_help_panel=options.RUN)
    ] = 0,
    json: options.Json = False,
) -> None:
    """Decode, crop and resize images once, into one HDF5 file that every later stage reads."""
    from genrev_cli.stages.prepare_data import PrepareConfig, prepare_data

    config = PrepareConfig(
        source, path, size, crop, channels, val_fraction, test_fraction, split_seed, skip_damaged, download, workers, limit
    )
    report(prepare_data(config, out or Path("data", f"{source}.h5"), progress=listener()), as_json=json)
