"""The headers of safetensors files, which are read without torch: its import takes a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from genrev_cli.errors import FileError, lacks_memory
from genrev_cli.files import hdf5
from genrev_cli.files.header import KEY, Header, parse_header


def read_checkpoint_header(path: Path) -> Header:
    """Return the header only.

    Raises FileError if the file is missing, truncated, damaged, or not written by genrev.
    """
    with reading(path, "np") as file:
        return parse_header((file.metadata() or {}).get(KEY), path)


def require_text(path: Path) -> None:
    """Raise FileError for a name that is not UTF-8: safetensors can write such a file but not read it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise FileError(f"{path}: the name of a .safetensors file must be UTF-8; rename it") from error


HDF5_BEGINS = b"\x89HDF"


def starts_with(path: Path, begin: bytes) -> bool:
    """Tell whether a file begins with these bytes."""
    with path.open("rb") as file:
        return file.read(len(begin)) == begin


def _hdf5_words(path: Path) -> str:
    """Return what an HDF5 file is."""
    try:
        kind = hdf5.read_header(path).kind
    except FileError:
        return "is an HDF5 file"
    maker = {"data": "prepared images, of prepare-data", "codes": "codes, of encode", "samples": "samples, of sample"}.get(kind, kind)
    return f"holds {maker}"


@contextmanager
def reading(path: Path, framework: str) -> Iterator[Any]:
    """Open a file with safetensors. framework: 'np' or 'pt', for arrays of NumPy or torch. Raises FileError if it is unusable."""
    require_text(path)
    if path.is_dir():
        raise FileError(f"{path}: is a folder, but a .safetensors file is needed")
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    if starts_with(path, HDF5_BEGINS):
        raise FileError(f"{path}: {_hdf5_words(path)}, but a .safetensors file is needed: a checkpoint, or a map of fit-ot or fit-gmm")
    try:
        with safe_open(str(path), framework=framework) as file:
            yield file
    except (SafetensorError, OSError, TypeError, RuntimeError, ValueError) as error:  # the last three: a type that torch or numpy lacks
        if lacks_memory(error):
            raise
        raise FileError(f"{path}: not a readable safetensors file, or truncated ({error})") from error
