"""Reading CIFAR's pickled batches without running what a pickle may ask for.

A pickle is a program that calls whatever it names. This reader knows four names, those that an array of bytes needs, and puts stand-ins
of its own in their places: NumPy's would believe a pickle that its bytes are pointers.
"""

import codecs
import io
import pickle
from typing import Any, final

import numpy as np

from genrev_cli.errors import FileError


def _encode(text: str, encoding: str | bytes) -> bytes:
    """What Python 3 calls to restore bytes that it pickled for Python 2: always Latin-1."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not admitted")
    return codecs.latin_1_encode(text)[0]


@final
class _Bytes:
    """Stands for the type of an array, uint8 and nothing else."""

    def __init__(self, name: str | bytes, align: bool = False, copy: bool = False) -> None:
        if name not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"the type {name!r} is not admitted")

    def __setstate__(self, state: Any) -> None:
        """A byte has no order of its parts."""


@final
class _Array:
    """Stands for an array until its bytes are there. made_from: what NumPy's own would be made from before."""

    def __init__(self, *made_from: Any) -> None:
        self._pixels: np.ndarray | None = None

    @property
    def pixels(self) -> np.ndarray:
        if self._pixels is None:
            raise pickle.UnpicklingError("an array without its bytes")
        return self._pixels

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Bytes, bool, bytes]) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, _Bytes) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array of other than bytes")
        self._pixels = np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_columns else "C")


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,  # the module's name differs between numpy 1 and 2
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Bytes,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ADMITTED[module, name]


def unpickle(data: bytes, where: str) -> dict[Any, Any]:
    """The dict of numbers, bytes, lists and arrays of bytes in a pickle; Python 2's strings come as bytes.

    Raises FileError, naming `where`, when it is broken or holds anything else.
    """
    try:
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {key: value.pixels if isinstance(value, _Array) else value for key, value in found.items()}
    except Exception as error:  # a broken pickle can make the interpreter of pickles raise anything
        raise FileError(f"{where}: not a batch of plain arrays, and not read any further: {error}") from error
