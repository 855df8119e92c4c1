"""Anything that holds images, as blocks of pixels: a folder, a zip, samples or prepared images in HDF5, an .npz or .npy."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.header import KEY, Header, array_digest
from genrev_cli.files.images import open_images
from genrev_cli.files.npz import reading_npz
from genrev_cli.files.samples import MARK, folder_digest, read_mark, read_npz_header, sample_files
from genrev_cli.progress import Progress
from genrev_cli.scoring.image_files import open_image_files

Shape = tuple[int, int, int]
_Read = Callable[[int, int], Iterator[np.ndarray]]

_BLOCK = 256
_BLOCK_BYTES = 1 << 26
_ARRAYS = ("images", "samples", "arr_0")
"""What the images of an .npz are called: by us, by others, and by numpy where nobody named them (ADM's)."""


@dataclass(frozen=True, eq=False)
class ImageInput:
    """n images. sizes: (C, H, W) → how many; `image_shape` is the most frequent.

    header: true of the content; None where another tool made the images, or they were changed since. selection: which of them these are.
    digest: (start, stop) → sha256 of what decides the pixels of these images, taken from the content.
    read: (start, stop) → blocks of these images in order, each (k, C, H, W) uint8 of one size. lossy: some come from JPEGs.
    """

    path: Path
    n: int
    sizes: Mapping[Shape, int]
    header: Header | None
    selection: dict[str, Any]
    digest: Callable[[int, int], str]
    read: _Read
    lossy: bool = False

    @property
    def image_shape(self) -> Shape:
        return max(self.sizes, key=self.sizes.__getitem__)

    @cached_property
    def sha256(self) -> str:
        """The digest of all."""
        return self.digest(0, self.n)

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Images start … stop − 1, stop None for all that are left: (k, C, H, W) uint8."""
        return self.read(start, self.n if stop is None else min(stop, self.n))

    def record(self) -> dict[str, Any]:
        """How a score records it."""
        known = self.header.as_input(self.path) if self.header else {"path": str(self.path.resolve()), "sha256": self.sha256}
        return {"kind": "images", **known, "selection": self.selection}

    def shown_sizes(self) -> str:
        """For messages: '64×64 (990), 32×32 (10)', the most frequent first."""
        some = sorted(self.sizes.items(), key=lambda item: -item[1])
        more = f" and {len(some) - 8} more sizes" if len(some) > 8 else ""
        return ", ".join(f"{shape[2]}×{shape[1]} ({count})" for shape, count in some[:8]) + more


def require_one_size(images: ImageInput) -> None:
    """Raises UsageError, listing them, when images have several sizes."""
    if len(images.sizes) > 1:
        raise UsageError(f"{images.path}: the images have different sizes, width×height: {images.shown_sizes()}; resize them to one")


def shown_shape(shape: Shape) -> str:
    """'3×64×64'."""
    return "×".join(str(side) for side in shape)


def open_image_input(path: Path, split: str, n: int, progress: Progress, *, mixed: bool = False) -> ImageInput:
    """The first n images (0: all) of `path`; `split` selects within prepared data and means nothing elsewhere.

    Raises FileError when there is nothing usable, UsageError when there are fewer than n or, unless `mixed`, of several sizes.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise FileError(f"{path}: no such file or folder")
    if suffix == ".h5":
        found = _from_hdf5(path, split, n)
    elif suffix in (".npz", ".npy"):
        found = _from_numpy(path, n)
    else:
        found = _from_files(path, n, progress)
    if found.n < n:
        raise UsageError(f"{path}: has {found.n} images, {n} are asked for; choose a smaller -n")
    if not mixed:
        require_one_size(found)
    return found


def _ranges(start: int, stop: int, shape: Shape) -> Iterator[tuple[int, int]]:
    step = max(1, min(_BLOCK, _BLOCK_BYTES // int(np.prod(shape))))
    return ((begin, min(begin + step, stop)) for begin in range(start, stop, step))


def _of_pixels(path: Path, n: int, shape: Shape, header: Header | None, selection: dict[str, Any], read: _Read) -> ImageInput:
    """Images of one size, known by their pixels."""

    def digest(start: int, stop: int) -> str:
        return array_digest("uint8", (stop - start, *shape), read(start, stop))

    return ImageInput(path, n, {shape: n}, header, selection, digest, read)


def _from_hdf5(path: Path, split: str, n: int) -> ImageInput:
    header = _sound_header(path)
    if header.kind == "data":
        return _prepared(path, split, n)
    if header.kind != "samples":
        raise FileError(f"{path}: a file of kind '{header.kind}' holds no images; 'genrev sample' and 'genrev prepare-data' make some")
    with hdf5.reading(path) as (_, file):
        if "images" not in file:
            raise FileError(f"{path}: damaged: it has no images; run 'genrev sample' again")
        there, *shape = file["images"].shape
    count, shape = min(n or there, there), tuple(shape)

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        with hdf5.reading(path) as (_, file):
            yield from (file["images"][begin:end] for begin, end in _ranges(start, stop, shape))

    return _of_pixels(path, count, shape, header, {"n": count}, read)


def _sound_header(path: Path) -> Header:
    """The header, which is recorded as what the images come from and must therefore be that of the content."""
    try:
        header = hdf5.read_header(path)
    except FileError as error:
        raise FileError(
            f"{error}; images of other tools are read from a folder, a zip, or an .npz or .npy of uint8, and 'genrev prepare-data folder' "
            "makes an .h5 of a folder or zip"
        ) from error
    if hdf5.read_digest(path) != header.sha256:
        raise FileError(f"{path}: damaged or edited: its content does not match the checksum in its header; make it again")
    return header


def _prepared(path: Path, split: str, n: int) -> ImageInput:
    images = open_images(path)
    rows, shape = images.rows(split)[: n or None], images.image_shape

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        return (images.read(rows[begin:end]) for begin, end in _ranges(start, stop, shape))

    return _of_pixels(path, len(rows), shape, images.header, {"split": split, "n": len(rows)}, read)


def _from_numpy(path: Path, n: int) -> ImageInput:
    with reading_npz(path) as arrays:
        name = next((key for key in _ARRAYS if key in arrays), None)
        if name is None and ("mu" in arrays) != ("sigma" in arrays):
            there, missing = ("mu", "sigma") if "mu" in arrays else ("sigma", "mu")
            raise FileError(f"{path}: has '{there}' and no '{missing}'; statistics need both, so make them again, or give the images")
        if name is None and "mu" in arrays:
            raise FileError(f"{path}: holds statistics and no images, which -n, --save-stats and all metrics but fid need; give the images")
        if name is None:
            raise FileError(f"{path}: has no array 'images', 'samples' or 'arr_0' (it has {', '.join(arrays) or 'none'})")
        images = arrays[name]
        header = read_npz_header(path) if KEY in arrays else None
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8:
        raise FileError(f"{path}: {_not_bytes(images)}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise FileError(f"{path}: images have shape {images.shape}; (n, H, W, C) or (n, C, H, W) with 1 or 3 channels is needed")
    count, shape = min(n or len(images), len(images)), tuple(images.shape[1:])

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        return (np.array(images[begin:end], order="C") for begin, end in _ranges(start, stop, shape))

    return _of_pixels(path, count, shape, header, {"n": count}, read)


def _not_bytes(images: np.ndarray) -> str:
    """What is wrong with an array that is not uint8, and what to do about it."""
    if images.dtype.kind not in "fiu":
        return f"its images are {images.dtype}; uint8 from 0 to 255 is needed"
    if not np.isfinite(images).all():
        bad = np.flatnonzero(~np.isfinite(images.reshape(len(images), -1)).all(axis=1))
        return f"image {bad[0]} has NaN or infinite values ({len(bad)} of {len(images)} images); mend what made them, and save uint8"
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    cure = "np.rint(x)" if high > 1 else "np.rint(255 * x)" if low >= 0 else "np.rint(127.5 * (x + 1))"
    return (
        f"its images are {images.dtype} from {low:g} to {high:g}, and which of these are black and white only you know; save them as uint8 "
        f"from 0 to 255, here perhaps by {cure}.clip(0, 255).astype(np.uint8)"
    )


def _from_files(path: Path, n: int, progress: Progress) -> ImageInput:
    files, header = open_image_files(path, n, progress), read_mark(path)
    if header and not (header.sha256 == folder_digest(path) and set(files.names) <= {file.name for file in sample_files(path)}):
        progress.note(f"{path}: is no longer what {path / MARK} describes, so it is recorded as images of unknown origin")
        header = None
    count = len(files.names)
    return ImageInput(path, count, files.sizes, header, {"n": count}, files.digest, files.blocks, files.lossy)
