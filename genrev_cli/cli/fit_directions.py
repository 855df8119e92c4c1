"""genrev fit-directions"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option, path_option
from genrev_cli.result import Result
from genrev_cli.settings.directions import FitDirectionsSettings


def _fit_directions(codes: Path, ckpt: Path | None, out: Path, settings: FitDirectionsSettings) -> Result:
    from genrev_cli.stages.fit_directions import fit_directions

    return fit_directions(codes, out, settings, ckpt=ckpt, progress=listener())


add_command(
    "fit-directions",
    "Find named directions in the space of codes: of classes and attributes, of principal components, and between two sets of pictures; "
    "with their scale and how well they separate. traverse --directions shows them.",
    example="genrev fit-directions codes.h5 --method means,normal,pca --out directions.safetensors",
    parts={
        "codes": One("codes", options.Codes),
        "ckpt": path_option("ckpt", "Checkpoint of the codes, to encode the pictures of --from and --to."),
        "out": out_option(Path("directions.safetensors"), "Directions to write (.safetensors)."),
        "settings": Group(FitDirectionsSettings),
    },
    run=_fit_directions,
)
