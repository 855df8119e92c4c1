"""Latent codes of images: one HDF5 file with `codes` (N, d) float32, `labels` (N,) and `rows` (N,).

It may also have `names` (N, k) of pictures, and `attributes` (N, A) int8 of prepared images: 1 has, 0 has not, −1 unknown.
Where the header's config has `space` = 'gaussian', these are the Gaussian codes of a flow, which is the input `flow`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import h5py
import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header, require_kind
from genrev_cli.files.images import read_rows
from genrev_cli.files.names import letters, names_of

SPACE, GAUSSIAN = "space", "gaussian"
"""Key and value in the config of codes, and of directions, that mark Gaussian codes of a flow; other codes lack the key."""


def is_gaussian(header: Header) -> bool:
    """Return True for the header of Gaussian codes, or of directions of such codes."""
    return header.config.get(SPACE) == GAUSSIAN


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
        _require_codes(header, file, path)
        return CodeSet(path, header, file["codes"][:], hdf5.labels_of(file, path), rows=file["rows"][:], names=names_of(file))


def _require_codes(header: Header, file: h5py.File, path: Path) -> None:
    """Raise FileError unless an open file is a whole code file. Reads all of it."""
    require_kind(header, "codes", path, "genrev encode")
    if not {"codes", "labels", "rows"} <= file.keys():
        raise FileError(f"{path}: damaged: codes, labels or rows are missing; run 'genrev encode' again")
    dim = header.config["dim"]
    if file["codes"].shape[1] != dim:
        raise FileError(f"{path}: damaged: its codes do not have the {dim} dimensions of its header; run 'genrev encode' again")
    hdf5.require_whole(header, file, path)


@dataclass(frozen=True, kw_only=True)
class CodeFile:
    """A code file whose codes stay on the disk, so it may be larger than memory. header, labels, rows, names: as in `CodeSet`.

    shape: (N, d). attributes: (N, A) int8: 1 has, 0 has not, −1 unknown. attribute_names: A of them, () without any.
    """

    path: Path
    header: Header
    shape: tuple[int, int]
    labels: np.ndarray
    rows: np.ndarray
    names: tuple[str, ...]
    attributes: np.ndarray
    attribute_names: tuple[str, ...]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def full(self) -> bool:
        """True for codes of the full latent, False for those of its active dimensions."""
        return self.header.config.get("latent") == "full"

    @property
    def gaussian(self) -> bool:
        """True for Gaussian codes of a flow."""
        return is_gaussian(self.header)

    def read(self, places: np.ndarray) -> np.ndarray:
        """Return the codes at some places, (k, d) float32, in that order. Raises FileError if one is not finite."""
        with hdf5.reading(self.path) as (_, file):
            return self._finite(read_rows(file["codes"], places), places)

    def blocks(self, parts: Iterable[range]) -> Iterator[np.ndarray]:
        """Yield the codes of each range of places, (k, d) float32. Raises FileError if one is not finite."""
        with hdf5.reading(self.path) as (_, file):
            for part in parts:
                yield self._finite(file["codes"][part.start : part.stop], part)

    def _finite(self, codes: np.ndarray, places: Sequence[int] | np.ndarray) -> np.ndarray:
        bad = ~np.isfinite(codes).all(1)
        if bad.any():
            raise FileError(f"{self.path}: code {places[int(bad.argmax())]} is not finite; the model that made it has diverged")
        return codes


def space_of(codes: CodeFile) -> dict[str, str]:
    """Return what the config of a file that is made from codes says about their space; {} for codes that are not Gaussian."""
    return {SPACE: GAUSSIAN} if codes.gaussian else {}


def open_code_file(path: Path) -> CodeFile:
    """Open a code file and check the digest of its content, for which all of it is read once, in blocks.

    Raises FileError if it is missing, damaged, not a code file, or has no codes.
    """
    with hdf5.reading(path) as (header, file):
        _require_codes(header, file, path)
        if not len(file["codes"]):
            raise FileError(f"{path}: has no codes; encode a split that has images")
        attributes, names = _attributes(header, file, path)
        return CodeFile(
            path=path, header=header, shape=file["codes"].shape, labels=hdf5.labels_of(file, path), rows=file["rows"][:],
            names=names_of(file), attributes=attributes, attribute_names=names,
        )  # fmt: skip


def _attributes(header: Header, file: h5py.File, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return attributes (N, A) int8 and their names. Raises FileError if they do not belong together."""
    if "attributes" not in file:
        return np.empty((len(file["codes"]), 0), np.int8), ()
    values, names = file["attributes"][:], header.config.get("attributes")
    if not isinstance(names, list) or values.shape[1] != len(names) or not -1 <= values.min() <= values.max() <= 1:
        raise FileError(f"{path}: damaged: its attributes do not match their names; run 'genrev encode' again")
    return values, tuple(map(str, names))


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of the pictures in a code file, () if it has none. Raises FileError like `open_codes`."""
    with hdf5.reading(path) as (_, file):
        return names_of(file)


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
def writing_codes(
    path: Path,
    header: Header,
    *,
    labels: np.ndarray,
    rows: np.ndarray,
    names: Sequence[str] = (),
    attributes: np.ndarray | None = None,
) -> Iterator[CodesWriter]:
    """Write the codes that the block adds, atomically; header.config has their number of dimensions, `dim`.

    labels, rows: (N,) int64, in the order of the codes. names: of N pictures; () writes none. attributes: (N, A) int8, whose names
    header.config has as `attributes`; None writes none.
    """
    with hdf5.writing(path, header) as writer:
        writer.create("codes", (len(labels), header.config["dim"]), "float32")
        yield CodesWriter(writer)
        arrays = {"labels": labels.astype(np.int64), "rows": rows.astype(np.int64)} | ({"names": letters(names)} if names else {})
        if attributes is not None:
            arrays["attributes"] = attributes
        for name, values in arrays.items():
            writer.create(name, values.shape, str(values.dtype))
            writer.write(name, 0, values)
