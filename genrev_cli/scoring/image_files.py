"""Images as files in a folder or zip, whatever their names, depths and sizes."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np

from genrev_cli.data.container import Container, image_names, open_container
from genrev_cli.data.decode import run
from genrev_cli.data.folder import Square
from genrev_cli.data.pixels import has_alpha, opened, probe
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress

_WORKERS = 1  # decoding small images is quicker than starting processes, and their features cost far more
_CHUNK = 64
_NAMED = 5  # damaged files that a message lists


@dataclass(frozen=True)
class ImageFiles:
    """names: in natural order. sizes: (C, H, W) → how many images. sums: sha256 of every file's bytes. lossy: some are JPEGs."""

    container: Container
    names: Sequence[str]
    channels: int
    sizes: Counter[tuple[int, int, int]]
    sums: Sequence[str]
    lossy: bool

    def digest(self, start: int, stop: int) -> str:
        """sha256 of what images start … stop − 1 are made of, without decoding them; what is gray is RGB beside coloured ones."""
        return hashlib.sha256(f"{self.channels} channels\n{''.join(self.sums[start:stop])}".encode()).hexdigest()

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Images start … stop − 1 as (k, C, H, W) uint8, consecutive ones of one size together. 16 bits are scaled to 8, not clipped.

        Raises FileError when a file cannot be decoded.
        """
        names = self.names[start:stop]
        for outcomes in run(self.container, names, Square(self.channels, 0), _WORKERS, _CHUNK):
            _refuse(self.container, [(name, outcome.reason) for name, outcome in zip(names, outcomes, strict=False) if outcome.reason])
            names = names[len(outcomes) :]
            for _, same in groupby((outcome.value for outcome in outcomes), key=lambda pixels: pixels.shape):
                yield np.stack(list(same))


def open_image_files(path: Path, n: int, progress: Progress) -> ImageFiles:
    """The first n images (0: all) at any depth below a folder or in a zip; a look at every file's header is taken first.

    Raises FileError when there is none, or one is damaged.
    """
    container = open_container(path, "give an existing folder, zip, .h5, .npz or .npy of images")
    names, others = _images(container)
    if others:
        progress.note(f"{path}: {others} files that are no images were ignored")
    names = names[: n or None]
    looks, sums = _survey(container, names, progress)
    channels = 1 if all(look.gray for look in looks) else 3
    transparent = sum(look.transparent for look in looks)
    if transparent:
        progress.note(f"{path}: {transparent} images have transparent parts, which are taken as white")
    if channels == 3 and any(look.gray for look in looks):
        progress.note(f"{path}: {sum(look.gray for look in looks)} gray images among coloured ones are taken as RGB")
    sizes = Counter((channels, *look.size[::-1]) for look in looks)
    lossy = any(name.lower().endswith((".jpg", ".jpeg")) for name in names)
    return ImageFiles(container, names, channels, sizes, sums, lossy)


def _images(container: Container) -> tuple[list[str], int]:
    try:
        return image_names(container)
    except FileError as error:
        names = container.names()
        kinds = ", ".join(sorted({PurePosixPath(name).suffix or PurePosixPath(name).name for name in names})[:_NAMED])
        seen = f"there are {len(names)} other files ({kinds})" if names else "there are no files at all"
        raise FileError(f"{error}: {seen}; give the folder that the images are in") from error


@dataclass(frozen=True)
class _Look:
    size: tuple[int, int]
    gray: bool
    transparent: bool


def _look(data: bytes) -> _Look:
    known = probe(data)
    with opened(data) as image:
        maybe = has_alpha(image)
    return _Look(known.size, known.gray, maybe and _shows_through(data))


def _shows_through(data: bytes) -> bool:
    with opened(data) as image:
        return image.convert("RGBA").getextrema()[3][0] < 255


def _survey(container: Container, names: Sequence[str], progress: Progress) -> tuple[list[_Look], list[str]]:
    looks, sums, damaged = [], [], []
    with progress.task("scan", len(names)) as bar:
        done = 0
        for outcomes in run(container, names, _look, _WORKERS):
            damaged += [(name, outcome.reason) for name, outcome in zip(names[done:], outcomes, strict=False) if outcome.reason]
            looks += [outcome.value for outcome in outcomes]
            sums += [outcome.sha256 for outcome in outcomes]
            done += len(outcomes)
            bar.advance(len(outcomes))
    _refuse(container, damaged)
    return looks, sums


def _refuse(container: Container, damaged: Sequence[tuple[str, str]]) -> None:
    """Raise FileError for damaged files, given as names and reasons, if there are some."""
    if damaged:
        shown = "; ".join(f"{container.where(name)} ({reason})" for name, reason in damaged[:_NAMED])
        more = f"; and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        raise FileError(f"{len(damaged)} files are no usable images: {shown}{more}; mend or remove them")
