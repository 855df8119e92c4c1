"""genrev decode"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.codes import DecodeSettings


def _decode(codes: Path, ckpt: Path, out: Path, settings: DecodeSettings) -> Result:
    from genrev_cli.stages.decode import decode

    return decode(codes, ckpt, out, settings, progress=listener())


add_command(
    "decode",
    "Turn codes back into images, restricted or full ones, under the names of their pictures. Codes of encode --full --exact-bits K give "
    "every byte back.",
    example="genrev decode codes.h5 --ckpt adversarial.safetensors --out images/",
    parts={
        "codes": One("codes", options.Codes),
        "ckpt": One("ckpt", options.Ckpt),
        "out": out_option(Path("images"), "A folder of PNGs, or a .h5 or .npz file, by its name."),
        "settings": Group(DecodeSettings),
    },
    run=_decode,
)
