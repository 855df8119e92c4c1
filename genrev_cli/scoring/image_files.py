"""Read image files from a folder or zip, with any names, depths and sizes."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np

from genrev_cli.data.container import Container, image_names, open_container
from genrev_cli.data.decode import run
from genrev_cli.data.depth import Deep, decided_range
from genrev_cli.data.formats import LOSSY
from genrev_cli.data.pixels import has_alpha, opened, probe
from genrev_cli.data.transform import Transform
from genrev_cli.errors import FileError, UsageError
from genrev_cli.progress import Progress

_WORKERS = 1  # decoding small images is faster than starting processes, and their features cost far more
_CHUNK = 64
_NAMED = 5  # damaged files that a message lists


@dataclass(frozen=True)
class ImageFiles:
    """Image files. names: in natural order. sizes: (C, H, W) → number of images. sums: sha256 of each file. lossy: some are JPEGs.

    values: the range of deep pixels, as in `Transform`.
    """

    container: Container
    names: Sequence[str]
    channels: int
    sizes: Counter[tuple[int, int, int]]
    _: KW_ONLY
    sums: Sequence[str]
    lossy: bool
    values: tuple[float, float] | None = None

    def digest(self, start: int, stop: int) -> str:
        """Return the sha256 of images start … stop − 1, from their files' bytes and the number of channels they are decoded to."""
        return hashlib.sha256(f"{self.channels} channels\n{self._shown_values()}{''.join(self.sums[start:stop])}".encode()).hexdigest()

    def _shown_values(self) -> str:
        return f"values {self.values}\n" if self.values else ""

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield images start … stop − 1 as (k, C, H, W) uint8, one block per run of equal sizes. 16 bits are scaled to 8, not clipped.

        Raises FileError if a file cannot be decoded.
        """
        names = self.names[start:stop]
        for outcomes in run(self.container, names, Transform(channels=self.channels, values=self.values), _WORKERS, _CHUNK):
            _refuse(self.container, [(name, outcome.reason) for name, outcome in zip(names, outcomes, strict=False) if outcome.reason])
            names = names[len(outcomes) :]
            for _, same in groupby((outcome.value for outcome in outcomes), key=lambda pixels: pixels.shape):
                yield np.stack(list(same))


def open_image_files(path: Path, n: int, progress: Progress) -> ImageFiles:
    """Open the first n images (0: all) at any depth in a folder or zip, after reading every file's header.

    Raises FileError if there is no image or one is damaged.
    """
    container = open_container(path, "give an existing folder, zip, .h5, .npz or .npy of images")
    names, others = _images(container)
    if others:
        progress.note(f"{path}: {others} files are not images and are ignored")
    names = names[: n or None]
    facts, sums = _survey(container, names, progress)
    channels = 1 if all(fact.gray for fact in facts) else 3
    transparent = sum(fact.transparent for fact in facts)
    if transparent:
        progress.note(f"{path}: {transparent} images have transparent parts, which become white")
    if channels == 3 and any(fact.gray for fact in facts):
        progress.note(f"{path}: {sum(fact.gray for fact in facts)} gray images are converted to RGB, because others have colours")
    sizes = Counter((channels, fact.size[1], fact.size[0]) for fact in facts)
    lossy = any(name.lower().endswith(LOSSY) for name in names)
    return ImageFiles(container, names, channels, sizes, sums=sums, lossy=lossy, values=_range(facts, path, progress))


def _range(facts: Sequence["_ImageFacts"], path: Path, progress: Progress) -> tuple[float, float] | None:
    """Return the range of deep pixels. Raises FileError, with the cure, if it is in doubt."""
    try:
        return decided_range([fact.deep for fact in facts if fact.deep], None, str(path), progress.note)
    except UsageError as error:
        raise FileError(f"{error} to 'genrev prepare-data folder', and give its .h5") from error


def _images(container: Container) -> tuple[list[str], int]:
    try:
        return image_names(container)
    except FileError as error:
        names = container.names()
        kinds = ", ".join(sorted({PurePosixPath(name).suffix or PurePosixPath(name).name for name in names})[:_NAMED])
        seen = f"it has {len(names)} other files ({kinds})" if names else "it has no files"
        raise FileError(f"{error}: {seen}; give the folder that holds the images") from error


@dataclass(frozen=True)
class _ImageFacts:
    size: tuple[int, int]
    gray: bool
    transparent: bool
    deep: Deep | None


def _inspect(data: bytes) -> _ImageFacts:
    known = probe(data)
    with opened(data) as image:
        maybe = has_alpha(image)
    return _ImageFacts(known.size, known.gray, maybe and _shows_through(data), known.deep)


def _shows_through(data: bytes) -> bool:
    with opened(data) as image:
        return bool(np.asarray(image.convert("RGBA"))[..., 3].min() < 255)


def _survey(container: Container, names: Sequence[str], progress: Progress) -> tuple[list[_ImageFacts], list[str]]:
    facts: list[_ImageFacts] = []
    sums: list[str] = []
    damaged: list[tuple[str, str]] = []
    with progress.task("scan", len(names)) as bar:
        done = 0
        for outcomes in run(container, names, _inspect, _WORKERS):
            damaged += [(name, outcome.reason) for name, outcome in zip(names[done:], outcomes, strict=False) if outcome.reason]
            facts += [outcome.value for outcome in outcomes]
            sums += [outcome.sha256 for outcome in outcomes]
            done += len(outcomes)
            bar.advance(len(outcomes))
    _refuse(container, damaged)
    return facts, sums


def _refuse(container: Container, damaged: Sequence[tuple[str, str]]) -> None:
    """Raise FileError if there are damaged files, given as (name, reason)."""
    if damaged:
        shown = "; ".join(f"{container.where(name)} ({reason})" for name, reason in damaged[:_NAMED])
        more = f"; and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        raise FileError(f"{len(damaged)} files are not usable images: {shown}{more}; repair or remove them")
