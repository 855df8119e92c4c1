"""NumPy's own files, ours and other people's."""

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from genrev_cli.errors import FileError

_NPY = b"\x93NUMPY"
_BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, SyntaxError, tokenize.TokenError)
"""What numpy and zipfile raise of broken bytes: RuntimeError of an entry that is encrypted or packed by an unknown method, the last two
of an array's header, which is written like a Python literal."""


@contextmanager
def reading_npz(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of an .npz file by name, read when they are asked for; the one of an .npy file as 'arr_0', mapped from the disk.

    Nothing is unpickled.

    Raises FileError when the file is missing, damaged, or neither.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        # opened here, because np.load leaves its own open when the archive is damaged; it does not unpickle unless asked to
        with path.open("rb") as raw:
            single = raw.read(len(_NPY)) == _NPY
            raw.seek(0)
            yield {"arr_0": np.load(path, mmap_mode="r")} if single else np.load(raw)
    except _BROKEN as error:
        raise FileError(f"{path}: not a readable NumPy file, or truncated or damaged ({error}); make it again") from error
