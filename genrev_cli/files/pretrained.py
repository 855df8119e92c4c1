"""Models that come with genrev: in place of a path, their name is that of a file in `genrev_cli/pretrained`.

NAME.safetensors is the checkpoint, NAME-directions.safetensors the directions of its codes, and NAME-ot.safetensors a transport map.
"""

from pathlib import Path

import genrev_cli

FOLDER = Path(genrev_cli.__file__).parent / "pretrained"
DIRECTIONS, OT = "directions", "ot"
_SUFFIX = ".safetensors"


def names() -> list[str]:
    """Return the names of the models."""
    return sorted(path.name.partition("-")[0] for path in FOLDER.glob(f"*-{DIRECTIONS}{_SUFFIX}"))


def found(path: Path, part: str = "") -> Path:
    """Return the file of a model for its name, as in `--ckpt mnist`, and any other path as it is. A file of that name here goes first.

    part: '' for the checkpoint, DIRECTIONS or OT.
    """
    if str(path) in names() and not path.exists():
        return _file(str(path), part)
    return path


def companion(ckpt: Path, part: str) -> Path | None:
    """Return the directions or the map that come with a checkpoint of this package, None for any other checkpoint."""
    return _file(ckpt.stem, part) if ckpt.parent == FOLDER and ckpt.stem in names() else None


def short(path: Path) -> str:
    """Return the name by which `found` finds a file of this package, and any other path as it is."""
    stem = path.stem.partition("-")[0]
    return stem if path.parent == FOLDER and stem in names() else str(path)


def _file(name: str, part: str) -> Path:
    return FOLDER / f"{name}-{part}{_SUFFIX}" if part else FOLDER / f"{name}{_SUFFIX}"
