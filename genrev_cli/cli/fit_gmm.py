"""genrev fit-gmm"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.codes import FitGmmSettings


def _fit_gmm(codes: Path, out: Path, settings: FitGmmSettings) -> Result:
    from genrev_cli.stages.fit_gmm import fit_gmm

    return fit_gmm(codes, out, settings, progress=listener())


add_command(
    "fit-gmm",
    "Fit a mixture of Gaussians to codes; sample, fid and compare can draw from it instead of the prior.",
    example="genrev fit-gmm codes.h5 --components 10 --out gmm.safetensors",
    parts={
        "codes": One("codes", options.Codes),
        "out": out_option(Path("gmm.safetensors"), "Sampler to write (.safetensors)."),
        "settings": Group(FitGmmSettings),
    },
    run=_fit_gmm,
)
