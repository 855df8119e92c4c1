"""Latent codes of a data set: one HDF5 file with `codes` (N, d) float32, `labels` (N,) and `rows` (N,), the images' row numbers."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header, require_kind


@dataclass(frozen=True)
class CodeSet:
    """The content of a code file.

    header.config: latent ('restricted' or 'full'), dim, split. header.inputs: the checkpoint and the images.
    """

    path: Path
    header: Header
    codes: np.ndarray
    labels: np.ndarray
    _: KW_ONLY
    rows: np.ndarray


def open_codes(path: Path) -> CodeSet:
    """Read a whole code file and check the digest of its content.

    Raises FileError if it is missing, damaged, or not a code file.
    """
    with hdf5.reading(path) as (header, file):
        require_kind(header, "codes", path, "genrev encode")
        if not {"codes", "labels", "rows"} <= file.keys():
            raise FileError(f"{path}: damaged: codes, labels or rows are missing; run 'genrev encode' again")
        dim = header.config["dim"]
        if file["codes"].shape[1] != dim:
            raise FileError(f"{path}: damaged: its codes do not have the {dim} dimensions of its header; run 'genrev encode' again")
        hdf5.require_whole(header, file, path)
        return CodeSet(path, header, file["codes"][:], hdf5.labels_of(file, path), rows=file["rows"][:])
