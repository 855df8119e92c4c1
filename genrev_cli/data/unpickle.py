"""Reading CIFAR's pickled batches without running what a pickle may ask for.

A pickle is a program that calls whatever it names. This reader knows four names, those that an array of numbers needs, and
refuses every other.
"""

import codecs
import io
import pickle
from typing import Any

import numpy as np

from genrev_cli.errors import FileError


def _encode(text: str, encoding: str | bytes) -> bytes:
    """What Python 3 calls to restore bytes that it pickled for Python 2: always Latin-1."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not admitted")
    return codecs.latin_1_encode(text)[0]


_RECONSTRUCT = np.empty(0).__reduce__()[0]  # its module's name differs between numpy 1 and 2

_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ADMITTED[module, name]


def unpickle(data: bytes, where: str) -> Any:
    """The dicts, lists, numbers, bytes and arrays in a pickle; Python 2's strings come as bytes.

    Raises FileError, naming `where`, when it is broken or holds anything else.
    """
    try:
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a broken pickle can make the interpreter of pickles raise anything
        raise FileError(f"{where}: not a batch of plain arrays, and not read any further: {error}") from error
