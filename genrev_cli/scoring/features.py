"""Compute features of images, and cache them on disk in shards if they are costly.

A shard holds the features of 1,024 consecutive images. Its file name is the digest of these images. Its folder's name is the digest of
everything else that decides the features (the extractor with its weights, the kind of device, SCHEMA). So a shard is never stale, and
other files with the same images reuse it. It is written whole or not at all, and a killed run continues after the last one. Two runs
at the same time only compute the same features twice.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.cache import cache_folder
from genrev_cli.files.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.space import announce, tensors_bytes
from genrev_cli.files.targets import require_writable
from genrev_cli.metrics.features import Extractor
from genrev_cli.metrics.frechet import Moments, Statistics
from genrev_cli.progress import Progress, Task
from genrev_cli.scoring.images import ImageInput
from genrev_cli.training.distributed import deals, dealt

Rows = tuple[int, int]
"""(start, stop): images start, …, stop − 1."""

KIND = "features"
SHARD = 1024
SCHEMA = 1
"""Raise this number when an extractor, the decoding of files or sampling changes what it computes: old shards are then ignored."""


def shards_of(n: int) -> list[Rows]:
    """Return the shards of n images."""
    return [(start, min(start + SHARD, n)) for start in range(0, n, SHARD)]


@final
class FeatureSet:
    """Features (n, dims) of n images, computed or read on demand."""

    def __init__(self, n: int, dims: int, read: Callable[[], Iterator[np.ndarray]]) -> None:
        self.n, self.dims = n, dims
        self._read = read
        self._rows: np.ndarray | None = None
        self._statistics: Statistics | None = None

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all features in order, as blocks (k, dims) float32."""
        return self._read() if self._rows is None else iter([self._rows])

    def rows(self) -> np.ndarray:
        """Return all features, (n, dims) float32, and keep them in memory."""
        if self._rows is None:
            self._rows = np.concatenate(list(self._read()))
        return self._rows

    def statistics(self) -> Statistics:
        """Return mean and covariance, computed in memory that does not grow with n. Raises UsageError for fewer than 2 images."""
        if self._statistics is None:
            moments = Moments(self.dims)
            for block in self.blocks():
                moments.add(block)
            self._statistics = moments.statistics()
        return self._statistics


def features_of(images: ImageInput, extractor: Extractor, progress: Progress, title: str, *, cache: bool = True) -> FeatureSet:
    """Return the features of images; `title` is for the progress bar.

    They are equal to the bit whether the cache holds all, some or none of them (on a CPU, with the same number of threads). A damaged
    shard is computed again. Without `cache`, no shard is read or written.
    Raises UsageError for fewer than 2 images, before any is read; reading raises UsageError or FileError for unusable images.
    """
    if images.n < 2:
        raise UsageError(f"{images.path}: has one image; a distance needs at least 2, and an FID about 10,000")
    maker = _Maker(images, extractor, progress, f"features of {title}")
    return FeatureSet(images.n, extractor.dims, maker.through_cache if cache and extractor.costly else maker.straight)


@dataclass(frozen=True)
class _Maker:
    images: ImageInput
    extractor: Extractor
    progress: Progress
    title: str

    def straight(self) -> Iterator[np.ndarray]:
        """Compute the features, without the cache."""
        with self.progress.task(self.title, self.images.n) as bar:
            yield from self._dealt(bar, set(), lambda rows: self._make(bar, *rows))

    def _dealt(self, bar: Task, there: set[Rows], make: Callable[[Rows], Tensor]) -> Iterator[np.ndarray]:
        """Yield `make(rows)` of every shard, each computed by one process. Shards of others advance the bar too, unless cached."""
        for number, (rows, features) in enumerate(zip(shards := shards_of(self.images.n), dealt(shards, make), strict=True)):
            if not deals(number) and rows not in there:
                bar.advance(rows[1] - rows[0])
            yield features.numpy()

    def _make(self, bar: Task, start: int, stop: int) -> Tensor:
        features = []
        for pixels in self.images.blocks(start, stop):
            features.append(self.extractor(torch.from_numpy(pixels)))
            bar.advance(len(pixels))
        return torch.cat(features)

    def through_cache(self) -> Iterator[np.ndarray]:
        """Yield the features shard by shard: read from the cache if they are there and whole, else computed and written."""
        identity, n = self._identity(), self.images.n
        folder = cache_folder() / "features" / hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        digests = {rows: self.images.digest(*rows) for rows in shards_of(n)}
        there = {rows for rows, digest in digests.items() if _shard(folder, digest).exists()}
        missing = [stop - start for number, (start, stop) in enumerate(digests) if deals(number) and (start, stop) not in there]
        needed = sum(tensors_bytes(4 * count * self.extractor.dims, 1, 4096) for count in missing)
        if missing:
            require_writable(_shard(folder, ""), "set GENREV_CACHE to another folder, or pass --no-cache")
        announce(folder.parent, needed, self.progress.note, cure="free some space, set GENREV_CACHE to another folder, or pass --no-cache")
        with self.progress.task(self.title, n, done=sum(stop - start for start, stop in there)) as bar:

            def make(rows: Rows) -> Tensor:
                count, path = rows[1] - rows[0], _shard(folder, digests[rows])
                features = self._read(path, count, {**identity, "images": digests[rows]})
                if (features is not None) != (rows in there):  # damaged, or written by another run in the meantime
                    bar.advance(-count if rows in there else count)
                if features is None:
                    begin = time.perf_counter()
                    features = self._make(bar, *rows)
                    _write(path, features, {**identity, "images": digests[rows]}, time.perf_counter() - begin)
                return features

            yield from self._dealt(bar, there, make)

    def _identity(self) -> dict[str, Any]:
        """Return everything that decides the features except the images."""
        device = self.extractor.device.type  # CUDA's sums differ from the CPU's in their last digits
        return {"schema": SCHEMA, "extractor": self.extractor.identity, "device": device}

    def _read(self, path: Path, count: int, config: dict[str, Any]) -> Tensor | None:
        """Read the features of a shard, (count, dims); None if it is missing, damaged, or of something else than its name says."""
        if not path.exists():
            return None
        try:
            header, tensors = read_checkpoint(path)
            if header.kind != KIND or header.config != json.loads(json.dumps(config)):
                raise FileError(f"{path}: holds features of other images or of another network than its name says")
            features = tensors.get("features")
            if features is None or features.dtype != torch.float32 or features.shape != (count, self.extractor.dims):
                raise FileError(f"{path}: has no float32 features of shape {(count, self.extractor.dims)}")
        except FileError as error:
            self.progress.note(f"{error}: this part of the cache is made again")
            return None
        return features


def _shard(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.safetensors"


def _write(path: Path, features: Tensor, config: dict[str, Any], seconds: float) -> None:
    tensors = {"features": features}
    write_checkpoint(path, tensors, Header(KIND, config, tensors_digest(tensors), made_by=provenance(seconds=seconds)))
