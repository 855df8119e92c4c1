"""Latent codes of a data set: one HDF5 file with `codes` (N, d) float32, `labels` (N,) and `rows` (N,), their numbers in the image set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header, require_kind


@dataclass(frozen=True)
class CodeSet:
    """header.config holds: latent ('restricted' or 'full'), dim, split. header.inputs: the checkpoint and the images."""

    path: Path
    header: Header
    codes: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def open_codes(path: Path) -> CodeSet:
    """Read a code file whole; a flipped byte shows in the digest of its content.

    Raises FileError when it is missing, damaged, or not a code file.
    """
    with hdf5.reading(path) as (header, file):
        require_kind(header, "codes", path, "genrev encode")
        if not {"codes", "labels", "rows"} <= file.keys():
            raise FileError(f"{path}: damaged: codes, labels or rows are missing; run 'genrev encode' again")
        dim = header.config["dim"]
        if file["codes"].shape[1] != dim:
            raise FileError(f"{path}: damaged: its codes are not of the {dim} dimensions that its header says; run 'genrev encode' again")
        hdf5.require_whole(header, file, path)
        return CodeSet(path, header, file["codes"][:], hdf5.labels_of(file, path), file["rows"][:])
