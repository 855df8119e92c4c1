"""Disk space: compare the size of what will be written with the free space before writing, and print large sizes."""

import math
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from genrev_cli.errors import FileError

WORTH_A_LINE = 10_000_000
_BLOCK = 4096  # allocation unit of file systems
_HEADER = 1 << 16  # bytes of a file besides its arrays: JSON with its inputs' headers, HDF5's own tables


def announce(
    target: Path, needed: int, note: Callable[[str], None], *, say: str = "some", cure: str = "make room, or choose another --out"
) -> None:
    """Print how much will be written to `target`, if it is 10 MB or more: `OUT: some 2.3 GB will be written (45 GB free)`.

    An old file at `target` frees no space, because it stays until the new file is complete. say: the word before the number.

    Raises FileError with both numbers and `cure`, what to do, if less is free.
    """
    folder = target.absolute()
    while not folder.is_dir():
        if folder == folder.parent:
            return
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # the free space is unknown; if it is too small, the write fails with an error
        return
    if needed > free:
        raise FileError(f"{target}: {say} {shown(needed)} will be written, but only {shown(free)} are free; {cure}")
    if needed >= WORTH_A_LINE:
        note(f"{target}: {say} {shown(needed)} will be written ({shown(free)} free)")


def shown(count: float) -> str:
    """Return a number of bytes as text: 2.3 GB, 45 GB, 312 MB."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 999.5 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{count:.2g} {units[0]}" if count < 9.95 else f"{count:.0f} {units[0]}"


def present(*paths: Path) -> int:
    """Return the total size of the paths that exist: of files, and of the files in folders (not in their subfolders)."""
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file())


def hdf5_bytes(arrays: Iterable[tuple[tuple[int, ...], int]]) -> int:
    """Return the estimated size of an HDF5 file with arrays of (shape, item size); each chunk adds a checksum and an index entry."""
    return sum(int(math.prod(shape) * size * 1.005) + 2 * _HEADER for shape, size in arrays) + _HEADER


def png_folder_bytes(shape: tuple[int, int, int, int]) -> int:
    """Return the largest possible size of a folder with one PNG for each of n images (n, C, H, W); PNG does not compress noise."""
    n, channels, height, width = shape
    image = (channels * width + 1) * height
    return n * _blocks(image + image // 1000 + 256) + _HEADER


def tensors_bytes(numbers: int, tensors: int, headers: int = 0) -> int:
    """Return the estimated size of a safetensors file. numbers: bytes of all tensors; tensors: how many; headers: bytes of JSON."""
    return numbers + 160 * tensors + headers + 4096


def _blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
