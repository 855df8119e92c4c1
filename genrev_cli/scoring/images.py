"""Read images as blocks of pixels from a folder, a zip, samples or prepared images in HDF5, an .npz or .npy."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.data.arrays import image_layout
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
"""Names of the image array in an .npz: ours, that of other tools, and numpy's default, which ADM uses."""


@dataclass(frozen=True, eq=False)
class ImageInput:
    """n images. sizes: (C, H, W) → number of images; `image_shape` is the most frequent.

    header: matches the content; None if another tool made the images or they have changed. selection: which images of the file these are.
    digest: (start, stop) → sha256 of everything that decides the pixels of these images.
    read: (start, stop) → blocks of these images in order, each (k, C, H, W) uint8 of one size. lossy: some come from JPEGs.
    """

    path: Path
    n: int
    sizes: Mapping[Shape, int]
    header: Header | None
    _: KW_ONLY
    selection: dict[str, Any]
    digest: Callable[[int, int], str]
    read: _Read
    lossy: bool = False

    @property
    def image_shape(self) -> Shape:
        """The most frequent shape (C, H, W)."""
        return max(self.sizes, key=self.sizes.__getitem__)

    @cached_property
    def sha256(self) -> str:
        """The digest of all images."""
        return self.digest(0, self.n)

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Yield images start … stop − 1 (None: to the end) as blocks (k, C, H, W) uint8."""
        return self.read(start, self.n if stop is None else min(stop, self.n))

    def record(self) -> dict[str, Any]:
        """Return the entry for these images among the inputs of a score."""
        known = self.header.as_input(self.path) if self.header else {"path": str(self.path.resolve()), "sha256": self.sha256}
        return {"kind": "images", **known, "selection": self.selection}

    def shown_sizes(self) -> str:
        """Return the sizes for messages, the most frequent first: '64×64 (990), 32×32 (10)'."""
        some = sorted(self.sizes.items(), key=lambda item: -item[1])
        more = f" and {len(some) - 8} more sizes" if len(some) > 8 else ""
        return ", ".join(f"{shape[2]}×{shape[1]} ({count})" for shape, count in some[:8]) + more


def require_one_size(images: ImageInput) -> None:
    """Raise UsageError, with the list of sizes, if the images have several."""
    if len(images.sizes) > 1:
        raise UsageError(f"{images.path}: the images have different sizes, width×height: {images.shown_sizes()}; resize them to one")


def shown_shape(shape: Shape) -> str:
    """Return the shape for messages: '3×64×64'."""
    return "×".join(str(side) for side in shape)


def open_image_input(path: Path, split: str, n: int, progress: Progress, *, mixed: bool = False) -> ImageInput:
    """Open the first n images (0: all) of `path`. `split` selects within prepared data and is ignored for anything else.

    Raises FileError for an unusable file, UsageError if there are fewer than n images or, unless `mixed`, several sizes.
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
        raise UsageError(f"{path}: has only {found.n} images; pass -n {found.n} or less")
    if not mixed:
        require_one_size(found)
    return found


def _ranges(start: int, stop: int, shape: Shape) -> Iterator[tuple[int, int]]:
    step = max(1, min(_BLOCK, _BLOCK_BYTES // int(np.prod(shape))))
    return ((begin, min(begin + step, stop)) for begin in range(start, stop, step))


def _array_input(path: Path, n: int, shape: Shape, header: Header | None, *, selection: dict[str, Any], read: _Read) -> ImageInput:
    """Return images of one size whose digest is that of their pixels."""

    def digest(start: int, stop: int) -> str:
        return array_digest("uint8", (stop - start, *shape), read(start, stop))

    return ImageInput(path, n, {shape: n}, header, selection=selection, digest=digest, read=read)


def _from_hdf5(path: Path, split: str, n: int) -> ImageInput:
    header = _sound_header(path)
    if header.kind == "data":
        return _prepared(path, split, n)
    if header.kind != "samples":
        raise FileError(
            f"{path}: a file of kind '{header.kind}' holds no images; give one that 'genrev sample' or 'genrev prepare-data' wrote"
        )
    with hdf5.reading(path) as (_, file):
        if "images" not in file:
            raise FileError(f"{path}: damaged: it has no images; run 'genrev sample' again")
        total, channels, height, width = file["images"].shape
    count, shape = min(n or total, total), (channels, height, width)

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        with hdf5.reading(path) as (_, file):
            yield from (file["images"][begin:end] for begin, end in _ranges(start, stop, shape))

    return _array_input(path, count, shape, header, selection={"n": count}, read=read)


def _sound_header(path: Path) -> Header:
    """Read the header and check that it matches the content, because scores record it as the images' origin."""
    try:
        header = hdf5.read_header(path)
    except FileError as error:
        raise FileError(
            f"{error}; give images of other tools as a folder, a zip, or an .npz or .npy of uint8, or make an .h5 of a folder or zip with "
            "'genrev prepare-data folder', or of arrays with 'genrev prepare-data array'"
        ) from error
    if hdf5.read_digest(path) != header.sha256:
        raise FileError(f"{path}: damaged or edited: its content does not match the checksum in its header; make it again")
    return header


def _prepared(path: Path, split: str, n: int) -> ImageInput:
    images = open_images(path)
    rows, shape = images.rows(split)[: n or None], images.image_shape

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        return (images.read(rows[begin:end]) for begin, end in _ranges(start, stop, shape))

    return _array_input(path, len(rows), shape, images.header, selection={"split": split, "n": len(rows)}, read=read)


def _from_numpy(path: Path, n: int) -> ImageInput:
    with reading_npz(path) as arrays:
        name = next((key for key in _ARRAYS if key in arrays), None)
        if name is None and ("mu" in arrays) != ("sigma" in arrays):
            there, missing = ("mu", "sigma") if "mu" in arrays else ("sigma", "mu")
            raise FileError(f"{path}: has '{there}' but no '{missing}', and statistics need both; make them again, or give the images")
        if name is None and "mu" in arrays:
            raise FileError(
                f"{path}: holds statistics but no images; -n, --save-stats and every metric except fid need the images, so give these"
            )
        if name is None:
            raise FileError(f"{path}: has no array 'images', 'samples' or 'arr_0' (it has {', '.join(arrays) or 'none'})")
        images = arrays[name]
        header = read_npz_header(path) if KEY in arrays else None
    if images.dtype != np.uint8:
        raise FileError(f"{path}: {_not_bytes(images)}")
    layout = image_layout(images.shape[1:]) if images.ndim == 4 and len(images) else None
    if layout is None:
        raise FileError(f"{path}: images have shape {images.shape}, but must be (n, H, W, C) or (n, C, H, W) with 1 or 3 channels")
    shape, axes = layout
    images = images.transpose(axes)
    count = min(n or len(images), len(images))

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        return (np.array(images[begin:end], order="C") for begin, end in _ranges(start, stop, shape))

    return _array_input(path, count, shape, header, selection={"n": count}, read=read)


def _not_bytes(images: np.ndarray) -> str:
    """Return what is wrong with an array that is not uint8, and the cure."""
    if images.dtype.kind not in "fiu":
        return f"its images are {images.dtype}, but must be uint8 from 0 to 255"
    if not np.isfinite(images).all():
        bad = np.flatnonzero(~np.isfinite(images.reshape(len(images), -1)).all(axis=1))
        return f"image {bad[0]} has NaN or infinite values ({len(bad)} of {len(images)} images); repair them, and save them as uint8"
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    cure = "np.rint(x)" if high > 1 else "np.rint(255 * x)" if low >= 0 else "np.rint(127.5 * (x + 1))"
    return (
        f"its images are {images.dtype} from {low:g} to {high:g}, and their scale is not known; save them as uint8 from 0 to 255, "
        f"for example with {cure}.clip(0, 255).astype(np.uint8)"
    )


def _from_files(path: Path, n: int, progress: Progress) -> ImageInput:
    files, header = open_image_files(path, n, progress), read_mark(path)
    if header and not (header.sha256 == folder_digest(path) and set(files.names) <= {file.name for file in sample_files(path)}):
        progress.note(f"{path}: has changed since {path / MARK} was written, so its images are recorded as of unknown origin")
        header = None
    count = len(files.names)
    return ImageInput(path, count, files.sizes, header, selection={"n": count}, digest=files.digest, read=files.blocks, lossy=files.lossy)
