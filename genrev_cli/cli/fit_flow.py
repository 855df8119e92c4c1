"""genrev fit-flow"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.flow import FitFlowOptions


def _fit_flow(codes: Path, out: Path, choices: FitFlowOptions) -> Result:
    from genrev_cli.stages.fit_flow import fit_flow

    return fit_flow(codes, out, choices, progress=listener())


add_command(
    "fit-flow",
    "Fit a flow from Gaussian noise to codes by flow matching: a sampler that is also a bijection with a density.\n\n"
    "Run the same command again to go on after an interruption, or with more --steps.",
    example="genrev fit-flow codes.h5 --out flow.safetensors",
    parts={
        "codes": One("codes", options.Codes),
        "out": out_option(Path("flow.safetensors"), "Sampler to write (.safetensors)."),
        "choices": Group(FitFlowOptions),
    },
    run=_fit_flow,
)
