"""Pictures of any size as a model's images: files, folders and zips, each prepared as the images of the training were."""

import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from genrev_cli.data.container import Container, Folder, image_names, open_container
from genrev_cli.data.decode import run
from genrev_cli.data.pixels import DamagedImage, probe
from genrev_cli.data.transform import Transform
from genrev_cli.errors import FileError
from genrev_cli.progress import SILENT, Progress

_AS_IS, _CURE = "leave out --as-is", "repair or remove it"
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz")
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


@dataclass(frozen=True)
class Fitting:
    """Turn the bytes of a picture into an image (C, H, W) uint8 of a model.

    preparation: of the images of the training. as_is: refuse a picture that has another size or other channels, instead of preparing it.
    invert: turn black and white around, last.
    """

    preparation: Transform
    image_shape: tuple[int, int, int]
    as_is: bool = False
    invert: bool = False

    def __call__(self, data: bytes) -> np.ndarray:
        """Decode and prepare a picture. Raises DamagedImage."""
        known = probe(data)
        if self.as_is:
            self._require(known.size, 1 if known.gray else 3)
        own = known.size == self.preparation.source  # a raw picture of the data set itself
        image = (self.preparation if own else self.general)(data)
        return 255 - image if self.invert else image

    def of(self, picture: Image.Image) -> np.ndarray:
        """Prepare a picture in memory as its file would be: (C, H, W) uint8. Raises DamagedImage."""
        stored, upright = io.BytesIO(), ImageOps.exif_transpose(picture)
        kind = {"format": "PNG", "compress_level": 0} if upright.mode in _PNG_MODES else {"format": "TIFF"}
        try:
            upright.save(stored, **kind)
        except (OSError, ValueError, KeyError) as error:
            raise DamagedImage(f"a picture of mode {picture.mode} cannot be used; convert it to RGB") from error
        return self(stored.getvalue())

    @property
    def general(self) -> Transform:
        """The preparation of a picture of any size."""
        return self.preparation.for_pictures(self.image_shape)

    def _require(self, size: tuple[int, int], channels: int) -> None:
        wanted_channels, height, width = self.image_shape
        kinds = {1: "gray", 3: "in colour"}
        found, wanted = (f"{w}×{h} and {kinds[c]}" for (w, h), c in ((size, channels), ((width, height), wanted_channels)))
        if found != wanted:
            raise DamagedImage(f"it is {found}, and the model takes {wanted}; {_AS_IS} to crop and resize it")


@dataclass(frozen=True)
class Photos:
    """Picture files in order. places: (container, name inside) of each. names: by which users know them, all different."""

    places: Sequence[tuple[Container, str]]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, fitting: Fitting, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return pictures start … stop − 1 as images (k, C, H, W) uint8. Raises FileError, which names the file, for an unusable one."""
        images = []
        for container, places in groupby(self.places[start:stop], key=lambda place: place[0]):
            names = [name for _, name in places]
            outcomes = [outcome for some in run(container, names, fitting, workers=1) for outcome in some]
            for name, outcome in zip(names, outcomes, strict=True):
                if outcome.reason:
                    cure = "" if _AS_IS in outcome.reason else f"; {_CURE}"
                    raise FileError(f"{container.where(name)}: not a usable picture ({outcome.reason}){cure}")
                images.append(outcome.value)
        return np.stack(images)

    @cached_property
    def sums(self) -> tuple[str, ...]:
        """The sha256 of each file. Reading them raises FileError for a file that cannot be read."""
        found = []
        for container, places in groupby(self.places, key=lambda place: place[0]):
            try:
                with container.reader() as read:
                    for _, name in places:
                        found.append(hashlib.sha256(read(name)).hexdigest())
            except Exception as error:  # zipfile and zlib raise many kinds of error for a broken entry
                raise FileError(f"{container.path}: a picture in it cannot be read ({error}); {_CURE}") from error
        return tuple(found)

    def record(self, fitting: Fitting) -> dict[str, Any]:
        """Return the entry of these pictures among the inputs of a file that is made from them."""
        folders = [os.path.realpath(container.path) for container, _ in self.places]
        preparation = {"as_is": True} if fitting.as_is else fitting.general.table()
        selection = {"n": len(self), "preparation": preparation | ({"invert": True} if fitting.invert else {})}
        return {
            "kind": "images",
            "path": os.path.commonpath(folders),
            "sha256": hashlib.sha256("".join(self.sums).encode()).hexdigest(),
            "selection": selection,
        }


def has_many(path: Path) -> bool:
    """Return True for a folder or an archive, by its name, which may hold many pictures."""
    return path.is_dir() or path.suffix.lower() in _ARCHIVES


def find_photos(paths: Sequence[Path], progress: Progress = SILENT) -> Photos:
    """Return the picture files that are given by their own paths, or lie in given folders and zips, at any depth.

    A file is known by its name, a file in a folder or zip by its path inside; of those that are alike, the second gets ' (2)', and so on.
    Raises FileError for a path that does not exist, and for a folder or zip without pictures.
    """
    places: list[tuple[Container, str]] = []
    for path in paths:
        if not path.exists():
            raise FileError(f"{path}: no such file or folder; give pictures, or folders or zips of them")
        if not has_many(path):
            places.append((Folder(path.parent), path.name))
            continue
        container = open_container(path, _CURE)
        inside, others = image_names(container)
        if others:
            progress.note(f"{path}: ignored {others} files that are not images")
        places += [(container, name) for name in inside]
    count: Counter[str] = Counter()
    names = []
    for _, name in places:
        count[name] += 1
        names.append(name if count[name] == 1 else f"{name} ({count[name]})")
    return Photos(places, tuple(names))
