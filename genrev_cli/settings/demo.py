"""The chain of `genrev demo`, in order: commands on the built-in part of MNIST, which train the model that comes with genrev further."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genrev_cli.settings.base import RUN, Settings, setting

PAGE = "report.html"

_SCORE = "--ref {0}/mnist-small.h5 --split test -n 1250"
_CHAIN = (
    "prepare-data mnist-small --out {0}/mnist-small.h5",
    "pretrain-recon --data {0}/mnist-small.h5 --seed 0 --init mnist --steps 60 --device {1} --out {0}/recon.safetensors",
    "train-adversarial --ckpt {0}/recon.safetensors --seed 0 --steps 60 --device {1} --out {0}/adversarial.safetensors",
    "sample --ckpt {0}/adversarial.safetensors -n 64 --seed 0 --device {1} --out {0}/samples-64.h5 --grid {0}/samples.png",
    "encode --ckpt {0}/adversarial.safetensors --device {1} --out {0}/codes.h5",
    "fit-ot {0}/codes.h5 --seed 0 --device {1} --out {0}/ot.safetensors",
    "sample --ckpt {0}/adversarial.safetensors --ot {0}/ot.safetensors -n 64 --seed 0 --device {1} --out {0}/samples-ot-64.h5 "
    "--grid {0}/samples-ot.png",
    "reconstruct --ckpt {0}/adversarial.safetensors --device {1} --out {0}/reconstructions.png",
    "interpolate --ckpt {0}/adversarial.safetensors --device {1} --out {0}/interpolations.png",
    "interpolate --ckpt {0}/adversarial.safetensors --latent full --device {1} --out {0}/interpolations-full.png",
    "interpolate --ckpt {0}/adversarial.safetensors --ot {0}/ot.safetensors --device {1} --out {0}/interpolations-ot.png",
    "traverse --ckpt {0}/adversarial.safetensors --around 0 --device {1} --out {0}/traversals.png",
    "fit-directions {0}/codes.h5 --seed 0 --device {1} --out {0}/directions.safetensors",
    "edit 0 1 2 3 4 5 --ckpt {0}/adversarial.safetensors --directions {0}/directions.safetensors --toward 3 --fade 1 --steps 7 "
    "--device {1} --out {0}/edits.png",
    "sample --ckpt {0}/recon.safetensors -n 1250 --seed 0 --device {1} --out {0}/samples-pretrained.h5",
    f"fid {{0}}/samples-pretrained.h5 {_SCORE} --features pixel --device {{1}} --out {{0}}/fid-pretrained.json",
    "sample --ckpt {0}/adversarial.safetensors -n 1250 --seed 0 --device {1} --out {0}/samples",
    f"fid {{0}}/samples {_SCORE} --features pixel --device {{1}} --out {{0}}/fid.json",
    f"fid --ckpt {{0}}/adversarial.safetensors --ot {{0}}/ot.safetensors {_SCORE} --seed 0 --features pixel --device {{1}} "
    "--out {0}/fid-ot.json",
    "report {0}/samples.png {0}/samples-ot.png {0}/reconstructions.png {0}/interpolations.png {0}/interpolations-full.png "
    "{0}/interpolations-ot.png {0}/traversals.png {0}/edits.png {0}/fid-pretrained.json {0}/fid.json {0}/fid-ot.json {0}/codes.h5 "
    "{0}/recon.safetensors {0}/adversarial.safetensors {0}/mnist-small.h5 --title 'Generative reversible network: mnist-small' "
    "--out {0}/report.html",
)  # {0} is the folder, {1} the device


@dataclass(frozen=True)
class DemoSettings(Settings):
    """open: with the browser that the system prefers."""

    open: bool = setting(False, "Open the page in a browser.", panel=RUN)
    device: str = setting("cpu", "auto, cpu, cuda or cuda:N.", panel=RUN)


@dataclass(frozen=True)
class Step:
    """One command of the chain. words: without 'genrev'. made: the files that it writes. needs: the files that it reads."""

    words: list[str]
    made: list[Path]
    needs: list[Path]

    def done(self) -> bool:
        """Return True if everything that it makes exists and is no older than what it reads."""
        made, needs = ([_stamp(path) for path in paths] for paths in (self.made, self.needs))
        return all(path.exists() for path in (*made, *needs)) and (
            not needs or min(path.stat().st_mtime_ns for path in made) >= max(path.stat().st_mtime_ns for path in needs)
        )


def _stamp(path: Path) -> Path:
    """Return the file whose time is that of a result: of a folder of samples its header."""
    return path / "genrev.json" if path.is_dir() else path


def chain(folder: Path, device: str) -> Iterator[Step]:
    """Yield the commands that make the demo in a folder."""
    for line in _CHAIN:
        words = [word.format(folder, device) for word in shlex.split(line)]
        files = [(before, Path(word)) for before, word in zip(["", *words], words, strict=False) if Path(word).parent == folder]
        made = [path for before, path in files if before in ("--out", "--grid")]
        yield Step(words, made, [path for _, path in files if path not in made])
