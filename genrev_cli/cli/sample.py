"""genrev sample"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option, sampler_part
from genrev_cli.result import Result
from genrev_cli.settings.sample import SampleSettings


def _sample(ckpt: Path, out: Path, settings: SampleSettings) -> Result:
    from genrev_cli.stages.sample import sample

    return sample(ckpt, out, settings, progress=listener())


add_command(
    "sample",
    "Generate images from the prior, or from a distribution fitted to codes. The same seed always gives the same image i, "
    "however many are drawn.\n\n"
    "With --class 0,1,2 image i is of class i mod 3, and the grid has a column for each.",
    example="genrev sample --ckpt adversarial.safetensors -n 10000 --out samples/ --grid samples.png",
    parts={
        "ckpt": One("ckpt", options.Ckpt),
        "out": out_option(Path("samples"), "A folder of PNGs, or a .h5 or .npz file, by its name."),
        "settings": Group(SampleSettings, sampler=sampler_part()),
    },
    run=_sample,
)
