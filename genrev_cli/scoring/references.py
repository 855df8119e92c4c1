"""References by name: a name is a protocol, which says what was done to which images, and not just a data set."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genrev_cli.data.celeba import faces
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.images import open_images
from genrev_cli.files.statistics import has_statistics
from genrev_cli.metrics.weights import SHA256_PREFIX
from genrev_cli.progress import Progress
from genrev_cli.scoring.images import ImageInput, Shape, open_image_input
from genrev_cli.scoring.statistics import StatisticsFile, open_statistics

FOLDER = Path("data")
"""Where prepared images and the statistics of references by name are looked for."""


@dataclass(frozen=True)
class Protocol:
    """What a name means.

    source, prepare: what `prepare-data` was asked for. transform, image_shape, counts (split → images): what it wrote into the header.
    own_split: `split` is the protocol's, and not one asked for in its place. file: name of the prepared file, '' for that of the source.
    """

    name: str
    source: str
    split: str
    transform: str
    image_shape: Shape
    counts: dict[str, int]
    prepare: str = ""
    own_split: bool = True
    file: str = ""

    @property
    def data(self) -> Path:
        """The prepared images."""
        return FOLDER / f"{self.file or self.source}.h5"

    @property
    def cure(self) -> str:
        """How to make them."""
        return f"make it with 'genrev prepare-data {self.source}{self.prepare} --out {self.data}'"

    @property
    def n(self) -> int:
        """How many images the split has."""
        return sum(self.counts.values()) if self.split == "all" else self.counts[self.split]

    def facts(self) -> dict[str, Any]:
        """What makes two references the same."""
        return {
            "source": self.source,
            "transform": self.transform,
            "image_shape": list(self.image_shape),
            "split": self.split,
            "n": self.n,
        }

    def __str__(self) -> str:
        prepared = "as published" if self.transform == "none" else self.transform
        size = "×".join(str(side) for side in reversed(self.image_shape[1:]))
        chosen = "" if self.own_split else " by --split"
        return f"--ref {self.name}: {self.source}, the {self.n:,} images of split '{self.split}'{chosen}, {prepared}, {size}"

    def statistics_file(self, identity: dict[str, Any]) -> Path:
        """Where statistics of these images in these features are kept."""
        return FOLDER / f"{self._stem}.{tag(identity)}.npz"

    def any_statistics(self) -> bool:
        """Whether statistics in some features are there."""
        return any(FOLDER.glob(f"{self._stem}.*.npz"))

    @property
    def _stem(self) -> str:
        return self.name if self.own_split else f"{self.name}.{self.split}"


def tag(identity: dict[str, Any]) -> str:
    """Short name of an extractor: 'inception-pytorch-fid', 'pixel', 'classifier-1a2b3c4d'. The whole identity is in the file's header."""
    weights, precision = identity["weights_sha256"][:8], identity["precision"]
    profile = identity["profile"] if identity["extractor"] == "inception" else ""
    unusual = "" if weights == SHA256_PREFIX else weights
    return "-".join(filter(None, (identity["extractor"], profile, unusual, "" if precision == "fp32" else precision)))


def _celeba(name: str, crop: str, size: int, options: str) -> Protocol:
    transform = faces(crop, size)
    counts = {"train": 162_770, "val": 19_867, "test": 19_962}
    return Protocol(name, "celeba", "test", str(transform), (3, *transform.size[::-1]), counts, options, file=name)


_CIFAR10 = Protocol("cifar10", "cifar10", "train", "none", (3, 32, 32), {"train": 50_000, "test": 10_000})
_MNIST = Protocol("mnist", "mnist", "test", "none", (1, 28, 28), {"train": 60_000, "test": 10_000})

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        _celeba("celeba", "140", 64, ""),  # WAE's, and that of the reversible networks (A5)
        _celeba("celeba-crop108", "108", 64, " --crop 108"),  # DCGAN's
        _celeba("celeba-nocrop", "none", 128, " --crop none --size 128"),  # that of the invertible networks
        _CIFAR10,  # the literature measures to the training images
        replace(_CIFAR10, name="cifar10-test", split="test"),
        _MNIST,
        replace(_MNIST, name="mnist-train", split="train"),
        Protocol("digits", "digits", "train", "none", (1, 8, 8), {"train": 1442, "test": 355}),  # the test split is small for statistics
    )
}


def find_protocol(name: str, split: str = "") -> Protocol:
    """The protocol of a name, with another split where one is given.

    Raises UsageError for an unknown name or split.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"{name}: none of the references {_names(name)}")
    protocol = PROTOCOLS[name]
    if split in ("", protocol.split):
        return protocol
    if split not in (*protocol.counts, "all"):
        raise UsageError(f"--split {split}: {protocol.source} has {', '.join(protocol.counts)}, or all")
    return replace(protocol, split=split, own_split=False)


def _names(word: str) -> str:
    close = difflib.get_close_matches(word, PROTOCOLS, 1)
    return ", ".join(PROTOCOLS) + (f"; did you mean '{close[0]}'?" if close else "")


def protocol_images(protocol: Protocol, data: Path, progress: Progress) -> ImageInput:
    """The images that a protocol means, from a prepared file.

    Raises FileError when the file is missing, or was prepared otherwise than the protocol says.
    """
    if not data.exists():
        raise FileError(f"--ref {protocol.name}: there is no {data}; {protocol.cure}")
    config = open_images(data).header.config
    counts = config.get("counts", {})
    found = {
        "source": config.get("source", {}).get("name"),
        "transform": config.get("transform"),
        "image_shape": config.get("image_shape"),
        "n": sum(counts.values()) if protocol.split == "all" else counts.get(protocol.split, 0),
    }
    wanted = {name: value for name, value in protocol.facts().items() if name in found}
    for name, value in found.items():
        if value != wanted[name]:
            what = f"number of '{protocol.split}' images" if name == "n" else name.replace("_", " ")
            raise FileError(
                f"{data}: is not what '{protocol.name}' means: its {what} is {value}, not {wanted[name]}; {protocol.cure}, "
                "or give the file's path as --ref"
            )
    return open_image_input(data, protocol.split, 0, progress)


@dataclass(frozen=True, eq=False)
class Reference:
    """What a --ref leads to. images: None where only statistics are there. statistics: of a file that was named itself."""

    images: ImageInput | None
    protocol: Protocol | None = None
    statistics: StatisticsFile | None = None

    @property
    def split(self) -> str:
        """Of prepared data, '' elsewhere."""
        if self.images:
            return self.images.selection.get("split", "")
        recorded = self.statistics.header.config.get("protocol", {}) if self.statistics and self.statistics.header else {}
        return self.protocol.split if self.protocol else recorded.get("split", "")

    @property
    def image_shape(self) -> Shape | None:
        """None where only statistics are known."""
        if self.images:
            return self.images.image_shape
        return self.protocol.image_shape if self.protocol else None


def open_reference(ref: str, split: str, *, needs_images: bool, progress: Progress) -> Reference:
    """What `ref` names: a protocol, whose expansion is noted, or a path to images or statistics.

    Raises FileError when it is not there or, with `needs_images`, holds none, UsageError for a split that has no meaning.
    """
    if ref in PROTOCOLS:
        return _by_name(find_protocol(ref, split), needs_images, progress)
    path = Path(ref)
    if not path.exists():
        raise FileError(f"--ref {ref}: no such file or folder, and none of the names {_names(ref)}")
    # Where ADM's files hold both, the statistics are of all images and the images a part of them.
    images = None
    if needs_images or path.suffix.lower() != ".npz" or not has_statistics(path):
        images = open_image_input(path, split or "test", 0, progress, mixed=True)
    if split and not (images and "split" in images.selection):
        raise UsageError(f"--split {split}: {path} has no splits; leave it out")
    return Reference(images, statistics=None if images else open_statistics(path))


def _by_name(protocol: Protocol, needs_images: bool, progress: Progress) -> Reference:
    progress.note(str(protocol))
    if needs_images or protocol.data.exists() or not protocol.any_statistics():
        return Reference(protocol_images(protocol, protocol.data, progress), protocol)
    return Reference(None, protocol)
