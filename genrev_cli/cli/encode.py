"""genrev encode"""

from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, One, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.codes import EncodeSettings


def _encode(*, pictures: list[Path] | None, ckpt: Path, data: Path | None, out: Path, settings: EncodeSettings) -> Result:
    from genrev_cli.stages.encode import encode

    return encode(ckpt, out, settings, data=data, pictures=pictures or [], progress=listener())


add_command(
    "encode",
    "Encode every image of a split to its latent code, or pictures of your own, which are cropped and resized as the data was.",
    example="genrev encode --ckpt adversarial.safetensors --out codes.h5",
    parts={
        "pictures": One("pictures", options.Pictures, None),
        "ckpt": One("ckpt", options.Ckpt),
        "data": One("data", options.CkptData, None),
        "out": out_option(Path("codes.h5"), "Codes to write (.h5)."),
        "settings": Group(EncodeSettings),
    },
    run=_encode,
)
