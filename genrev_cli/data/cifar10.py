"""CIFAR-10 (Krizhevsky 2009) from its Python batches, in a folder or in the published tar archive."""

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.data.checksum import require_file_md5, require_md5
from genrev_cli.data.config import Entry
from genrev_cli.data.source import TEST, TRAIN, ArraySource, array_source
from genrev_cli.data.unpickle import unpickle
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
FOLDER = "cifar-10-batches-py"
TAR = "cifar-10-python.tar.gz"
TAR_MD5 = "c58f30108f718f92721af3b95e74349a"

MD5 = {  # from torchvision.datasets.CIFAR10
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
_META = "batches.meta"
_MAX_BYTES = 1 << 28  # of one batch; the published ones have up to 155 MB


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published set of batches. folder, tar: where they are. md5: checksums of the batches by name."""

    name: str
    folder: str
    tar: str
    tar_md5: str
    md5: Mapping[str, str]


@dataclass(frozen=True)
class Batches:
    """The content of the published batches: name → keys → values."""

    content: Mapping[str, dict[bytes, Any]]

    def pixels(self, name: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
        """Return images (n, 3, 32, 32) uint8 and the labels (n,) under a key. Raises FileError if they do not fit together."""
        pixels, known = self.content[name][b"data"], np.asarray(self.content[name][labels.encode()])
        if pixels.dtype != np.uint8 or pixels.shape != (len(known), 3072):
            raise FileError(f"{name}: damaged: {pixels.dtype} pixels of shape {pixels.shape} for {len(known)} labels")
        return pixels.reshape(-1, 3, 32, 32), known


def read_batches(root: Path, published: Published) -> Batches:
    """Read all batches in a folder or the tar archive.

    Raises FileError if a file is missing, damaged, or not the published one.
    """
    found: dict[str, dict[bytes, Any]] = {}
    for name, data, where in _files(root, published):
        require_md5(data, published.md5[name], where)
        found[name] = unpickle(data, where)
    missing = [name for name in published.md5 if name not in found]
    if missing:
        cure = f"pass --download, or get {published.tar} from {PAGE}"
        raise FileError(f"{root}: {published.name}'s {', '.join(missing)} are missing; {cure}")
    return Batches(found)


def open_cifar10(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the 50,000 training and 10,000 test images, 3×32×32.

    Raises FileError if a file is missing, damaged, or not the published one.
    """
    found = read_batches(config.root, Published(name="CIFAR-10", folder=FOLDER, tar=TAR, tar_md5=TAR_MD5, md5=MD5))
    batches = [found.pixels(name, "labels") for name in MD5 if name != _META]
    return array_source(
        name="cifar10",
        size=config.dimensions,
        limit=config.limit,
        parts=[pixels for pixels, _ in batches],
        labels=np.concatenate([labels for _, labels in batches]),
        split=np.repeat([TRAIN] * 5 + [TEST], [len(labels) for _, labels in batches]),
        split_rule="as published",
        classes=tuple(name.decode() for name in found.content[_META][b"label_names"]),
        sums=dict(MD5),
    )


def _files(root: Path, published: Published) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, content and location of each published file that exists."""
    first = next(iter(published.md5))
    folder = next((f for f in (root, root / published.folder) if (f / first).is_file()), None)
    tar = next((f for f in (root, root / published.tar) if f.is_file()), None)
    if folder is not None:
        for path in (folder / name for name in published.md5 if (folder / name).is_file()):
            with path.open("rb") as file:
                yield path.name, file.read(_MAX_BYTES), str(path)
    elif tar is not None:
        yield from _members(tar, published)
    else:
        cure = f"pass --download, or get {published.tar} from {PAGE}"
        raise FileError(f"{root}: has neither {published.folder}/ nor {published.tar}; {cure}")


def _members(path: Path, published: Published) -> Iterator[tuple[str, bytes, str]]:
    """Yield the published files in the published tar archive, read in memory in one pass."""
    wanted = {f"{published.folder}/{name}": name for name in published.md5}
    try:
        require_file_md5(path, published.tar_md5)  # first, because tarfile loads headers of any size into memory
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.name in wanted and member.isfile() else None
                if content is not None:
                    yield wanted[member.name], content.read(_MAX_BYTES), f"{path}: {member.name}"
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: not a readable tar archive, or truncated ({error})") from error


SOURCE = Entry("cifar10", open_cifar10, ("path", "size", "download"))
