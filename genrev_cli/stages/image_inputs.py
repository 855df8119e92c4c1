"""Anything that holds images, as blocks of pixels: a folder, a zip, samples or prepared images in HDF5, an .npz."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.data.config import PrepareConfig
from genrev_cli.data.folder import open_folder
from genrev_cli.data.source import refuse_damaged
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.header import KEY, Header, array_digest, parse_header
from genrev_cli.files.images import open_images
from genrev_cli.files.npz import reading_npz
from genrev_cli.files.samples import MARK
from genrev_cli.progress import Progress

_BLOCK = 256


@dataclass(frozen=True)
class ImageInput:
    """n images of one shape. header: None where another tool made them. blocks(): (k, C, H, W) uint8, in order.

    digest: of the content; None until `blocks` has been read, where only reading tells.
    """

    path: Path
    n: int
    image_shape: tuple[int, int, int]
    header: Header | None
    selection: dict[str, Any]
    blocks: Callable[[], Iterator[np.ndarray]]

    def record(self) -> dict[str, Any]:
        """How a score records it."""
        known = (
            self.header.as_input(self.path)
            if self.header
            else {"path": str(self.path.resolve()), "sha256": self.digest(), "kind": "images"}
        )
        return {**known, "selection": self.selection}

    def digest(self) -> str:
        """Digest of the images themselves, whatever file they stand in."""
        return array_digest("uint8", (self.n, *self.image_shape), (np.ascontiguousarray(block) for block in self.blocks()))


def open_image_input(path: Path, split: str, n: int, progress: Progress) -> ImageInput:
    """The first n images (0: all) of `path`; `split` selects within prepared data and means nothing elsewhere.

    Raises FileError when there is nothing usable, UsageError when there are fewer than n.
    """
    if path.suffix == ".h5":
        found = _from_hdf5(path, split, n)
    elif path.suffix in (".npz", ".npy"):
        found = _from_numpy(path, n)
    elif path.exists():
        found = _from_files(path, n, progress)
    else:
        raise FileError(f"{path}: no such file or folder")
    if found.n < n:
        raise UsageError(f"{path}: has {found.n} images, {n} are asked for; choose a smaller -n")
    return found


def _first(blocks: Iterator[np.ndarray], n: int) -> Iterator[np.ndarray]:
    for block in blocks:
        if n <= 0:
            return
        yield block[:n]
        n -= len(block)


def _from_hdf5(path: Path, split: str, n: int) -> ImageInput:
    header = hdf5.read_header(path)
    if header.kind == "data":
        images = open_images(path)
        rows = images.rows(split)[: n or None]
        blocks = lambda: (images.read(rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK))  # noqa: E731
        return ImageInput(path, len(rows), images.image_shape, header, {"split": split, "n": len(rows)}, blocks)
    if header.kind != "samples":
        raise FileError(f"{path}: a file of kind '{header.kind}' holds no images; 'genrev sample' and 'genrev prepare-data' make some")
    with hdf5.reading(path) as (_, file):
        shape = file["images"].shape

    def read() -> Iterator[np.ndarray]:
        with hdf5.reading(path) as (_, file):
            yield from (file["images"][start : start + _BLOCK] for start in range(0, shape[0], _BLOCK))

    count = min(n or shape[0], shape[0])
    return ImageInput(path, count, tuple(shape[1:]), header, {"n": count}, lambda: _first(read(), count))


def _from_numpy(path: Path, n: int) -> ImageInput:
    with reading_npz(path) as arrays:
        name = next((key for key in ("images", "samples", "arr_0") if key in arrays), None)
        if name is None:
            raise FileError(f"{path}: has no array 'images', 'samples' or 'arr_0' (it has {', '.join(arrays) or 'none'})")
        images = arrays[name]
        header = parse_header(str(arrays[KEY]), path) if KEY in arrays else None
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise FileError(
            f"{path}: images are {images.dtype} {images.shape}; uint8 (n, H, W, C) or (n, C, H, W) with 1 or 3 channels is needed"
        )
    count = min(n or len(images), len(images))
    blocks = lambda: (np.ascontiguousarray(images[start : min(start + _BLOCK, count)]) for start in range(0, count, _BLOCK))  # noqa: E731
    return ImageInput(path, count, tuple(images.shape[1:]), header, {"n": count}, blocks)


def _from_files(path: Path, n: int, progress: Progress) -> ImageInput:
    # one process: decoding small images is quicker than starting others, and features cost far more
    source = open_folder(PrepareConfig("folder", path, val_fraction=0, test_fraction=0, limit=n, workers=1), progress)
    mark = path / MARK
    header = parse_header(mark.read_text(encoding="utf-8"), mark) if mark.is_file() else None

    def read() -> Iterator[np.ndarray]:
        for block in source.blocks():
            refuse_damaged(block.damaged, skip=False)
            yield block.pixels

    return ImageInput(path, len(source), source.image_shape, header, {"n": len(source)}, read)
