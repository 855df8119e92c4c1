"""Latent codes of images: one HDF5 file with `codes` (N, d) float32, `labels` (N,), `rows` (N,) and, for pictures, `names` (N, k)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import h5py
import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header, require_kind


@dataclass(frozen=True)
class CodeSet:
    """The content of a code file.

    codes: (N, d) float32. labels: (N,) int64, −1 for unknown. rows: (N,) int64, row numbers in the image set. names: of the pictures,
    () for codes of prepared images.
    header.config: latent ('restricted' or 'full'), dim, split. header.inputs: the checkpoint and the images.
    """

    path: Path
    header: Header
    codes: np.ndarray
    labels: np.ndarray
    _: KW_ONLY
    rows: np.ndarray
    names: tuple[str, ...] = ()


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
        return CodeSet(path, header, file["codes"][:], hdf5.labels_of(file, path), rows=file["rows"][:], names=_names(file))


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of the pictures in a code file, () if it has none. Raises FileError like `open_codes`."""
    with hdf5.reading(path) as (_, file):
        return _names(file)


def _names(file: h5py.File) -> tuple[str, ...]:
    if "names" not in file:
        return ()
    return tuple(row.tobytes().rstrip(b"\0").decode(errors="replace") for row in file["names"][:])


class CodesWriter:
    """Appends blocks of codes (k, d) to a file. header: written at the end; until then the caller may replace it."""

    def __init__(self, writer: hdf5.Writer) -> None:
        self._writer, self._done = writer, 0

    @property
    def header(self) -> Header:
        """The header of the file."""
        return self._writer.header

    @header.setter
    def header(self, header: Header) -> None:
        self._writer.header = header

    def add(self, codes: np.ndarray) -> None:
        """Write the next codes (k, d)."""
        self._writer.write("codes", self._done, codes)
        self._done += len(codes)


@contextmanager
def writing_codes(path: Path, header: Header, *, labels: np.ndarray, rows: np.ndarray, names: Sequence[str] = ()) -> Iterator[CodesWriter]:
    """Write the codes that the block adds, atomically; header.config has their number of dimensions, `dim`.

    labels, rows: (N,) int64, in the order of the codes. names: of N pictures; () writes none.
    """
    with hdf5.writing(path, header) as writer:
        writer.create("codes", (len(labels), header.config["dim"]), "float32")
        yield CodesWriter(writer)
        arrays = {"labels": labels.astype(np.int64), "rows": rows.astype(np.int64)} | ({"names": _letters(names)} if names else {})
        for name, values in arrays.items():
            writer.create(name, values.shape, str(values.dtype))
            writer.write(name, 0, values)


def _letters(names: Sequence[str]) -> np.ndarray:
    """Return names as UTF-8 with zeros behind, (N, k) uint8: HDF5's own strings lie outside of what its checksums cover."""
    words = [name.encode(errors="surrogateescape") for name in names]
    longest = max(1, *map(len, words))
    return np.array([np.frombuffer(word.ljust(longest, b"\0"), np.uint8) for word in words])
