"""Room on the disk: what is to be written is compared with what is free before any of it is, and said where it is much."""

import math
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from genrev_cli.errors import FileError

WORTH_A_LINE = 10_000_000
_BLOCK = 4096  # what file systems give a file in
_HEADER = 1 << 16  # of a file: JSON with its inputs' headers, HDF5's own tables


def announce(
    target: Path, needed: int, note: Callable[[str], None], *, say: str = "some", cure: str = "make room, or choose another --out"
) -> None:
    """Say once how much will be written to `target` beside what is there, from 10 MB on: `OUT: some 2.3 GB will be written (45 GB free)`.

    What is replaced stands beside the new one until the new one is whole, and counts for nothing here. say: before the number.
    Raises FileError when less is free, naming both; `cure` is what to do.
    """
    folder = target.absolute()
    while not folder.is_dir():
        if folder == folder.parent:
            return
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # nobody knows; writing will tell
        return
    if needed > free:
        raise FileError(f"{target}: {say} {shown(needed)} will be written, and {shown(free)} are free; {cure}")
    if needed >= WORTH_A_LINE:
        note(f"{target}: {say} {shown(needed)} will be written ({shown(free)} free)")


def shown(count: float) -> str:
    """Bytes for people: 2.3 GB, 45 GB, 312 MB."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 999.5 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{count:.2g} {units[0]}" if count < 9.95 else f"{count:.0f} {units[0]}"


def present(*paths: Path) -> int:
    """Bytes of those files that there are, and of those in folders."""
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file())


def hdf5_bytes(arrays: Iterable[tuple[tuple[int, ...], int]]) -> int:
    """Of an HDF5 file of ours with arrays of these shapes and item sizes: chunks are stored whole, with a checksum and a place each."""
    return sum(int(math.prod(shape) * size * 1.005) + 2 * _HEADER for shape, size in arrays) + _HEADER


def png_folder_bytes(shape: tuple[int, int, int, int]) -> int:
    """At most, of a folder with a PNG for each of n images (n, C, H, W): noise does not get smaller."""
    n, channels, height, width = shape
    image = (channels * width + 1) * height
    return n * _blocks(image + image // 1000 + 256) + _HEADER


def tensors_bytes(numbers: int, tensors: int, headers: int = 0) -> int:
    """Of a safetensors file: bytes of numbers, how many tensors they are, and bytes of JSON in its header."""
    return numbers + 160 * tensors + headers + 4096


def _blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
