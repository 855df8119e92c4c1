"""Read CIFAR's pickled batches without running code from the pickle.

A pickle is a program that can call any function by name. This reader accepts only the four names that an array of bytes needs, and
replaces their functions by its own: NumPy's would let a pickle declare its bytes to be pointers.
"""

import codecs
import io
import pickle
from typing import Any, final

import numpy as np

from genrev_cli.errors import FileError


def _encode(text: str, encoding: str | bytes) -> bytes:
    """Replace `codecs.encode`, which restores bytes that Python 3 pickled for Python 2, always as Latin-1."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not allowed")
    return codecs.latin_1_encode(text)[0]


@final
class _Bytes:
    """Replaces `numpy.dtype`; only uint8 is allowed."""

    def __init__(self, name: str | bytes, align: bool = False, copy: bool = False) -> None:
        if name not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"the type {name!r} is not allowed")

    def __setstate__(self, state: Any) -> None:
        """Ignore the byte order, which single bytes do not have."""


@final
class _Array:
    """Replaces `numpy.ndarray`: holds the pixels once the pickle has set them."""

    def __init__(self, *ignored: Any) -> None:
        self._pixels: np.ndarray | None = None

    @property
    def pixels(self) -> np.ndarray:
        if self._pixels is None:
            raise pickle.UnpicklingError("an array has no bytes")
        return self._pixels

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Bytes, bool, bytes]) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, _Bytes) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array is not of bytes")
        self._pixels = np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_columns else "C")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,  # the module's name differs between NumPy 1 and 2
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Bytes,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def unpickle(data: bytes, where: str) -> dict[Any, Any]:
    """Return the dict of numbers, bytes, lists and arrays of bytes in a pickle; strings of Python 2 become bytes.

    Raises FileError, naming `where`, if it is broken or has anything else.
    """
    try:
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {key: value.pixels if isinstance(value, _Array) else value for key, value in found.items()}
    except Exception as error:  # a broken pickle can raise almost any exception
        raise FileError(f"{where}: not a batch of plain arrays: {error}") from error
