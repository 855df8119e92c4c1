"""Check that codes, and what was computed from them, belong to a checkpoint."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.directions import DirectionSet, open_directions
from genrev_cli.progress import Progress
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.samplers import encoders_of


def require_codes_of(model: Checkpoint, inputs: dict[str, Any], path: Path, progress: Progress) -> None:
    """Raise FileError if codes are those of another checkpoint; a note tells where their header does not say whose they are.

    Codes of the checkpoint from which train-gan trained `model` are its own: train-gan does not change the encoder (An et al. 2020,
    section 3.3). inputs: of the codes, from their header. path: of the file with the codes, or with what was computed from them.
    """
    encoder = inputs.get("ckpt")
    if encoder is None:
        progress.note(f"{path}: does not say which checkpoint its codes belong to; they are taken as those of {model.path}")
    elif encoder["sha256"] not in encoders_of(asdict(model.header)):
        raise FileError(f"{path}: belongs to {encoder['path']}, not to {model.path}; give that checkpoint, or encode again with this one")


def directions_of(model: Checkpoint, given: Path | None, progress: Progress) -> DirectionSet | None:
    """Open the directions that are given, else those that come with a model of this package; None where there are none.

    Raises FileError for an unusable file, and for directions of another checkpoint; UsageError for those of Gaussian codes.
    """
    path = given or pretrained.companion(model.path, pretrained.DIRECTIONS)
    if path is None:
        return None
    directions = open_directions(path)
    if directions.gaussian:
        raise UsageError(f"{path}: has directions of Gaussian codes, which only 'genrev traverse' can follow; fit them to other codes")
    require_directions_of(model, directions, progress)
    return directions


def require_directions_of(model: Checkpoint, directions: DirectionSet, progress: Progress) -> None:
    """Raise FileError if directions were found in codes of another checkpoint, or have another number of dimensions; see above."""
    require_codes_of(model, directions.header.inputs.get("codes", {}).get("inputs", {}), directions.path, progress)
    wanted, found = (model.own_prior.latent_dim if directions.full else model.own_prior.dim), directions.vectors.shape[1]
    if found != wanted:
        raise FileError(f"{directions.path}: its directions have {found} dimensions, but codes of {model.path} have {wanted}")
