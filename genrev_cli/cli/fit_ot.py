"""genrev fit-ot"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.transport_map import FitOtOptions


def _fit_ot(codes: Path, out: Path, choices: FitOtOptions) -> Result:
    from genrev_cli.stages.fit_ot import fit_ot

    return fit_ot(codes, out, choices, progress=listener())


add_command(
    "fit-ot",
    "Fit a semi-discrete transport map from the uniform cube to codes: a sampler that draws between neighbouring codes.\n\n"
    "Run the same command again to go on after an interruption.",
    example="genrev fit-ot codes.h5 --target-error 0.2 --out ot.safetensors",
    parts={
        "codes": One("codes", options.Codes),
        "out": out_option(Path("ot.safetensors"), "Transport map to write (.safetensors)."),
        "choices": Group(FitOtOptions),
    },
    run=_fit_ot,
)
