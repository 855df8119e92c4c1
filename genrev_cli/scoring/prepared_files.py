"""Picture files of any size to score, prepared as the images of the reference were (`fid --prepare`)."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genrev_cli.data.photos import Fitting, find_photos
from genrev_cli.data.transform import from_table
from genrev_cli.errors import UsageError
from genrev_cli.progress import Progress
from genrev_cli.scoring.images import ImageInput

_BLOCK = 64
_ARRAYS = (".h5", ".npz", ".npy")
_LOSSY = (".jpg", ".jpeg")


def fitting_of_reference(images: ImageInput | None, ref: str) -> Fitting:
    """Return the preparation of a reference's images. Raises UsageError where it is not known."""
    if images is None or images.header is None or images.header.kind != "data":
        raise UsageError(f"--prepare: --ref {ref} does not say how its images were prepared; give images that 'genrev prepare-data' made")
    preparation = from_table(images.header.config.get("preparation"))
    if preparation is None:
        raise UsageError(f"--prepare: {images.path} was made before genrev recorded preparations; run 'genrev prepare-data' again")
    return Fitting(preparation, images.image_shape)


def prepared_images(path: Path, fitting: Fitting, n: int, progress: Progress) -> ImageInput:
    """Return the first n pictures (0: all) of a folder or zip, each prepared on its own.

    Raises FileError for an unusable file, UsageError for arrays and where there are fewer than n pictures.
    """
    if path.suffix.lower() in _ARRAYS:
        raise UsageError(f"--prepare: prepares picture files, and {path} holds arrays; leave it out, or give a folder or zip of pictures")
    photos = find_photos([path], progress)
    if len(photos) < n:
        raise UsageError(f"{path}: has only {len(photos)} images; pass -n {len(photos)} or less")
    count, shape = n or len(photos), fitting.image_shape
    progress.note(f"--prepare: the {count} images of {path} are prepared as those of the reference were: {fitting.general}")
    how = json.dumps(fitting.general.table(), sort_keys=True)

    def digest(start: int, stop: int) -> str:
        return hashlib.sha256(f"{how}\n{''.join(photos.sums[start:stop])}".encode()).hexdigest()

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        return (photos.read(fitting, begin, min(begin + _BLOCK, stop)) for begin in range(start, stop, _BLOCK))

    lossy = any(name.lower().endswith(_LOSSY) for name in photos.names)
    selection = {"n": count, "preparation": fitting.general.table()}
    return ImageInput(path, count, {shape: count}, None, selection=selection, digest=digest, read=read, lossy=lossy)
