"""Directions in code space as a file: safetensors with `directions` (K, d), `scale` (K,) and `mean` (d,), all float32.

The header's config has `dim` (d), `latent` ('restricted' or 'full') and `directions`, a table for each, see `DirectionSet`; for directions
of Gaussian codes also `space` = 'gaussian'.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from genrev_cli.files.codes import is_gaussian
from genrev_cli.files.header import Header, require_kind
from genrev_cli.shapes import Codes

KIND = "directions"
MAKER = "genrev fit-directions"


@dataclass(frozen=True, kw_only=True)
class DirectionSet:
    """Directions with their names, all different.

    vectors: (K, d) unit vectors. scale: (K,) standard deviations of the codes along them. mean: (d,) of the codes.
    about: K tables: name, method, source (class, attribute, component or pictures), scale, share (of the variance of the codes), and where
    they are known accuracy (balanced: chance is 0.5), gap (between the means of both sides, in standard deviations), has and lacks
    (numbers of codes), without (names of the directions that it leaves unchanged).
    """

    path: Path
    header: Header
    vectors: Codes
    scale: Tensor
    mean: Tensor
    about: tuple[dict[str, Any], ...]

    @property
    def names(self) -> list[str]:
        """The names of the directions."""
        return [str(table["name"]) for table in self.about]

    @property
    def full(self) -> bool:
        """True for directions of the full latent, False for those of its active dimensions."""
        return self.header.config["latent"] == "full"

    @property
    def gaussian(self) -> bool:
        """True for directions of Gaussian codes of a flow."""
        return is_gaussian(self.header)

    def number(self, name: str) -> int:
        """Return the number of a direction. Raises UsageError for a name that there is not."""
        if name not in self.names:
            few = ", ".join(self.names[:20]) + (f", … ({len(self.names)} in all)" if len(self.names) > 20 else "")
            raise UsageError(f"{self.path}: has no direction '{name}'; it has {few}")
        return self.names.index(name)

    def move(self, name: str, strength: float) -> Tensor:
        """Return what to add to a code to move it by `strength` standard deviations along a direction, (d,)."""
        number = self.number(name)
        return strength * self.scale[number] * self.vectors[number]


def write_directions(
    path: Path,
    vectors: Codes,
    *,
    scale: Tensor,
    mean: Tensor,
    config: dict[str, Any],
    inputs: dict[str, Any],
    made_by: dict[str, Any],
    step: int = 0,
) -> None:
    """Write directions, atomically. config: dim, latent, directions and the settings of the fit."""
    tensors = {"directions": vectors.float(), "scale": scale.float(), "mean": mean.float()}
    write_checkpoint(path, tensors, Header(KIND, config, tensors_digest(tensors), step, inputs=inputs, made_by=made_by))


def open_directions(path: Path) -> DirectionSet:
    """Read directions, or those of a model that comes with genrev by its name.

    Raises FileError if the file is missing, damaged, or of another kind.
    """
    path = pretrained.found(path, pretrained.DIRECTIONS)
    header, tensors = read_checkpoint(path)
    require_kind(header, KIND, path, MAKER)
    about, dim = header.config["directions"], header.config["dim"]
    shapes = {"directions": (len(about), dim), "scale": (len(about),), "mean": (dim,)}
    sound = about and all(map(_is_sound, about))
    if not sound or {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise FileError(f"{path}: damaged: its arrays do not match its header; run '{MAKER}' again")
    if any(tensor.dtype != torch.float32 or not tensor.isfinite().all() for tensor in tensors.values()):
        raise FileError(f"{path}: damaged: its arrays are not finite float32 numbers; run '{MAKER}' again")
    return DirectionSet(
        path=path, header=header, vectors=tensors["directions"], scale=tensors["scale"], mean=tensors["mean"], about=tuple(about)
    )


def _is_sound(table: Any) -> bool:
    """Return True for the table of a direction whose entries have the right types."""
    if not isinstance(table, dict) or not all(isinstance(table.get(name), str) for name in ("name", "method", "source")):
        return False
    return isinstance(table.get("scale"), float) and all(isinstance(table.get(name, 0.0), float) for name in ("accuracy", "gap", "share"))
