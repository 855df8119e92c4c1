"""Feature statistics in the form that pytorch-fid writes (`mu`, `sigma` in an .npz), with n and a header beside them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import KEY, Header, parse_header
from genrev_cli.files.npz import arrays_digest, reading_npz


def write_statistics(path: Path, mu: np.ndarray, sigma: np.ndarray, n: int, header: Header) -> None:
    """Write the mean (d,) and covariance (d, d) of n features, atomically."""
    text = replace(header, sha256=arrays_digest({"mu": mu, "sigma": sigma})).to_json()
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, **{"mu": mu, "sigma": sigma, "n": np.int64(n), KEY: np.array(text)})


def read_statistics(path: Path) -> tuple[Header | None, int | None, np.ndarray, np.ndarray]:
    """Header and n (None where another tool wrote the file), mean (d,) and covariance (d, d), both float64.

    Raises FileError when the file is missing, damaged, or holds no statistics that a distance could be measured to.
    """
    with reading_npz(path) as file:
        if not {"mu", "sigma"} <= file.keys():
            raise FileError(f"{path}: holds no statistics; an .npz with 'mu' and 'sigma' is needed")
        mu, sigma, n = file["mu"], file["sigma"], file.get("n")
        header = parse_header(str(file[KEY]), path) if KEY in file else None
        if header and header.sha256 != arrays_digest({"mu": mu, "sigma": sigma}):
            raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")
    mu, sigma = _sound(mu, "mu", path), _sound(sigma, "sigma", path)
    if mu.ndim != 1 or not len(mu) or sigma.shape != (len(mu), len(mu)):
        raise FileError(f"{path}: a mean {mu.shape} and a covariance {sigma.shape} do not belong together; (d,) and (d, d) are needed")
    n = int(n) if n is not None and n.ndim == 0 and n.dtype.kind in "iu" else None
    if n is not None and n < 2:
        raise FileError(f"{path}: statistics of {n} images, where at least 2 are needed; make them again")
    return header, n, mu, sigma


def _sound(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    """`array` as float64, if it is real numbers."""
    if array.dtype.kind not in "fiu":
        raise FileError(f"{path}: '{name}' is {array.dtype}, where real numbers are needed; make the statistics again")
    if not np.isfinite(array).all():
        raise FileError(f"{path}: '{name}' has NaN or infinite values; make the statistics again from sound images")
    return array.astype(np.float64)


def has_statistics(path: Path) -> bool:
    """Whether an .npz holds a mean and a covariance.

    Raises FileError when it is missing or damaged.
    """
    with reading_npz(path) as arrays:
        return "mu" in arrays and "sigma" in arrays
