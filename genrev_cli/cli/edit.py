"""genrev edit"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.edits import EditSettings


def _edit(*, photos: list[str], ckpt: Path, data: Path | None, out: Path | None, settings: EditSettings) -> Result:
    from genrev_cli.stages.edit import edit

    return edit(photos, ckpt, out, settings, data=data, progress=listener())


Photos = Annotated[
    list[str],
    typer.Argument(
        help="Pictures of any size, or folders or zips of them; or row numbers within the split of the data.",
        show_default=False,
        metavar="PHOTO...",
    ),
]

add_command(
    "edit",
    "Edit your own photos through their codes: along named directions, dimension by dimension, toward a class or another picture. "
    "Reversible and invertible networks keep everything else of a photo.",
    example="genrev edit me.jpg --ckpt adversarial.safetensors --directions directions.safetensors --move Smiling=+2 --out smiling.png",
    parts={
        "photos": One("photos", Photos),
        "ckpt": One("ckpt", options.Ckpt),
        "data": One("data", options.CkptData, None),
        "out": out_option(
            None, "A folder of PNGs under the photos' names (default: edited), a .h5 or .npz file; a .png for one photo, or for --steps."
        ),
        "settings": Group(EditSettings),
    },
    run=_edit,
)
