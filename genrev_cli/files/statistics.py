"""Feature statistics in pytorch-fid's format (an .npz with `mu` and `sigma`), plus n and a header."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import KEY, Header, parse_header
from genrev_cli.files.npz import arrays_digest, reading_npz


def write_statistics(path: Path, mu: np.ndarray, sigma: np.ndarray, n: int, *, header: Header) -> None:
    """Write the mean (d,) and covariance (d, d) of n features, atomically."""
    text = replace(header, sha256=arrays_digest({"mu": mu, "sigma": sigma})).to_json()
    arrays: dict[str, Any] = {"mu": mu, "sigma": sigma, "n": np.int64(n), KEY: np.array(text)}  # Any: savez's keywords differ
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def read_statistics(path: Path) -> tuple[Header | None, int | None, np.ndarray, np.ndarray]:
    """Return header and n (None if another tool wrote the file), mean (d,) and covariance (d, d), both float64.

    Raises FileError if the file is missing, damaged, or has no usable statistics.
    """
    with reading_npz(path) as file:
        if not {"mu", "sigma"} <= file.keys():
            raise FileError(f"{path}: has no statistics; an .npz with 'mu' and 'sigma' is needed")
        mu, sigma, count = file["mu"], file["sigma"], file.get("n")
        header = parse_header(str(file[KEY]), path) if KEY in file else None
        if header and header.sha256 != arrays_digest({"mu": mu, "sigma": sigma}):
            raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")
    mu, sigma = _sound(mu, "mu", path), _sound(sigma, "sigma", path)
    if mu.ndim != 1 or not len(mu) or sigma.shape != (len(mu), len(mu)):
        raise FileError(f"{path}: mean {mu.shape} and covariance {sigma.shape} must have shapes (d,) and (d, d); make them again")
    n = int(count) if count is not None and count.ndim == 0 and count.dtype.kind in "iu" else None
    if n is not None and n < 2:
        raise FileError(f"{path}: statistics of {n} images, but at least 2 are needed; make them again")
    return header, n, mu, sigma


def _sound(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Return `array` as float64. Raises FileError unless it has finite real numbers."""
    if array.dtype.kind not in "fiu":
        raise FileError(f"{path}: '{name}' is {array.dtype}, but must be real numbers; make the statistics again")
    if not np.isfinite(array).all():
        raise FileError(f"{path}: '{name}' has NaN or infinite values; make the statistics again from intact images")
    return array.astype(np.float64)


def has_statistics(path: Path) -> bool:
    """Return True if an .npz has a mean and a covariance.

    Raises FileError if it is missing or damaged.
    """
    with reading_npz(path) as arrays:
        return "mu" in arrays and "sigma" in arrays
