"""Names of pictures beside their images or codes: as an array in HDF5, and as the files of a folder."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import h5py
import numpy as np

_LONGEST = 200  # bytes of a file's name; file systems allow 255


def letters(names: Sequence[str]) -> np.ndarray:
    """Return names as UTF-8 with zeros behind, (N, k) uint8: HDF5's own strings lie outside of what its checksums cover."""
    words = [name.encode(errors="surrogateescape") for name in names]
    longest = max(1, *map(len, words))
    return np.array([np.frombuffer(word.ljust(longest, b"\0"), np.uint8) for word in words])


def names_of(file: h5py.File) -> tuple[str, ...]:
    """Return the names in an open file, () if it has none."""
    if "names" not in file:
        return ()
    return tuple(row.tobytes().rstrip(b"\0").decode(errors="replace") for row in file["names"][:])


def png_names(names: Sequence[str]) -> list[str]:
    """Return the name of a PNG file for each name, all different: 'me.jpg' → 'me.png', 'trip/me.jpg' → 'trip-me.png'.

    Of those that are alike, regardless of case, the second gets ' (2)', and so on.
    """
    taken: set[str] = set()
    found = []
    for name in names:
        stem = _stem(name)
        candidate, number = f"{stem}.png", 2
        while candidate.casefold() in taken:
            candidate, number = f"{stem} ({number}).png", number + 1
        taken.add(candidate.casefold())
        found.append(candidate)
    return found


def _stem(name: str) -> str:
    """Return a name without its suffix and folders, that every file system takes."""
    path = PurePosixPath(name.replace("\\", "/"))
    plain = "-".join(part for part in (*path.parent.parts, path.stem) if part not in ("/", ".", ".."))
    printable = "".join(letter if letter.isprintable() and letter not in '<>:"|?*' else "_" for letter in plain).lstrip(".")
    return printable.encode(errors="replace")[:_LONGEST].decode(errors="ignore") or "picture"
