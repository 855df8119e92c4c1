"""Arrays of any program whose rows are read from a file in blocks, so that memory stays bounded for a file of any size."""

import math
from collections.abc import Callable
from typing import IO, Protocol, final

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP

_SKIP = 1 << 20  # bytes


class Rows(Protocol):
    """An array (n, …) whose blocks of rows are read one after the other: a NumPy array, or one in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@final
class StreamedRows:
    """An array in a stream of bytes, in C order. opened: returns the stream at the array's first byte, as often as it is called.

    Reading goes forward; a block before the last one begins again at the start. where: names the array in messages.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, opened: Callable[[], IO[bytes]], where: str) -> None:
        self.shape, self.dtype = shape, dtype
        self._opened, self._where = opened, where
        self._stream: IO[bytes] | None = None
        self._row = 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return consecutive rows. Raises FileError if the stream is damaged or ends early."""
        start, stop, _ = rows.indices(self.shape[0])
        each = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            if stop <= start:
                return np.empty((0, *self.shape[1:]), self.dtype)
            if self._stream is None or start < self._row:
                self._rewind()
            self._skip((start - self._row) * each)
            data = self._exactly((stop - start) * each)
            self._row = stop
            if self._row == self.shape[0]:
                self._close()
        except BROKEN_ZIP as error:
            raise FileError(f"{self._where}: damaged or truncated ({error})") from error
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _rewind(self) -> None:
        self._close()
        self._stream, self._row = self._opened(), 0

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._exactly(min(size, _SKIP)))

    def _exactly(self, size: int) -> bytes:
        assert self._stream is not None  # `_rewind` has opened it
        parts = []
        while size > 0:
            part = self._stream.read(size)
            if not part:
                raise EOFError(f"it ends {size} bytes early")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
