"""genrev reconstruct, interpolate, traverse"""

from pathlib import Path
from typing import Annotated

import typer

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, Part, add_command, out_option
from genrev_cli.errors import UsageError
from genrev_cli.result import Result
from genrev_cli.settings.figures import InterpolateSettings, ReconstructSettings, TraverseSettings


def _reconstruct(*, pictures: list[Path] | None, ckpt: Path, data: Path | None, out: Path, settings: ReconstructSettings) -> Result:
    from genrev_cli.stages.figures import reconstruct

    return reconstruct(ckpt, out, settings, data=data, pictures=pictures or [], progress=listener())


def _interpolate(*, ckpt: Path, ends: list[str] | None, data: Path | None, out: Path, settings: InterpolateSettings) -> Result:
    from genrev_cli.stages.figures import interpolate

    ends = ends or []
    if settings.is_film(out):
        from genrev_cli.stages.film import film as make

        return make(ckpt, out, settings, ends, data=data, progress=listener())
    if len(ends) % 2:
        raise UsageError(f"{len(ends)} ends were given ({', '.join(ends)}); they go in pairs")
    return interpolate(ckpt, out, settings, pairs=list(zip(ends[::2], ends[1::2], strict=True)), data=data, progress=listener())


def _traverse(ckpt: Path, data: Path | None, out: Path, settings: TraverseSettings) -> Result:
    from genrev_cli.stages.figures import traverse

    return traverse(ckpt, out, settings, data=data, progress=listener())


_OR_FILM = "Picture to write (.png); or a film: .gif, .webp, .mp4, or a folder of frames."


def _files(picture: str, help: str = "Picture to write (.png).") -> dict[str, Part]:
    """Return the parts of a command that makes a picture of a checkpoint. help: of --out."""
    return {
        "ckpt": One("ckpt", options.Ckpt),
        "data": One("data", options.CkptData, None),
        "out": out_option(Path(picture), help),
    }


Ends = Annotated[
    list[str] | None,
    typer.Argument(
        help="Pairs of ends, or the pictures of a film: row numbers within the split, or picture files of any size; default: drawn."
    ),
]

add_command(
    "reconstruct",
    "Show originals, reconstructions from the restricted and from the full latent; measure both over the whole split.",
    example="genrev reconstruct --ckpt adversarial.safetensors --out reconstructions.png",
    parts={"pictures": One("pictures", options.Pictures, None), **_files("reconstructions.png"), "settings": Group(ReconstructSettings)},
    run=_reconstruct,
)

add_command(
    "interpolate",
    "Go from image to image through the latent space: rows of pictures with the originals at both ends, or a film through all of them.",
    example="genrev interpolate --ckpt adversarial.safetensors 3 17 me.png you.png --latent full",
    parts={
        "ends": One("ends", Ends, None),
        **_files("interpolations.png", _OR_FILM),
        "settings": Group(InterpolateSettings),
    },
    run=_interpolate,
)

add_command(
    "traverse",
    "Vary one active dimension, or one direction, at a time: rows of pictures, or a film.",
    example="genrev traverse --ckpt adversarial.safetensors --dim 3 --dim 7 --around 12",
    parts={**_files("traversals.png", _OR_FILM), "settings": Group(TraverseSettings)},
    run=_traverse,
)
