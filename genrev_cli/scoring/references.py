"""Named references. A name stands for a protocol: a data set, a split, and how its images were prepared."""

import difflib
from dataclasses import KW_ONLY, dataclass, replace
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
"""Folder with the prepared images and the statistics of named references."""


@dataclass(frozen=True)
class Protocol:
    """The images that a name stands for.

    source, prepare: the source and options of `prepare-data`. transform, image_shape, counts (split → images): what its header then says.
    own_split: `split` is the protocol's own, not one chosen by --split. file: stem of the prepared file's name, '' for the source's name.
    """

    name: str
    source: str
    split: str
    transform: str
    _: KW_ONLY
    image_shape: Shape
    counts: dict[str, int]
    prepare: str = ""
    own_split: bool = True
    file: str = ""

    @property
    def data(self) -> Path:
        """Path of the prepared images."""
        return FOLDER / f"{self.file or self.source}.h5"

    @property
    def cure(self) -> str:
        """How to make the prepared images, for messages."""
        return f"make it with 'genrev prepare-data {self.source}{self.prepare} --out {self.data}'"

    @property
    def n(self) -> int:
        """Number of images in the split."""
        return sum(self.counts.values()) if self.split == "all" else self.counts[self.split]

    def facts(self) -> dict[str, Any]:
        """Return what identifies the images; equal facts mean the same reference."""
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
        """Return the path of the statistics of these images in the features that `identity` describes."""
        return FOLDER / f"{self._stem}.{tag(identity)}.npz"

    def any_statistics(self) -> bool:
        """Return True if statistics exist, in any features."""
        return any(FOLDER.glob(f"{self._stem}.*.npz"))

    @property
    def _stem(self) -> str:
        return self.name if self.own_split else f"{self.name}.{self.split}"


def tag(identity: dict[str, Any]) -> str:
    """Return a short name of an extractor: 'inception-pytorch-fid', 'pixel', 'classifier-1a2b3c4d'. The header has its whole identity."""
    weights, precision = identity["weights_sha256"][:8], identity["precision"]
    profile = identity["profile"] if identity["extractor"] == "inception" else ""
    unusual = "" if weights == SHA256_PREFIX else weights
    return "-".join(filter(None, (identity["extractor"], profile, unusual, "" if precision == "fp32" else precision)))


def _celeba(name: str, crop: str, size: tuple[int, int], options: str) -> Protocol:
    transform = faces(crop, size)
    counts = {"train": 162_770, "val": 19_867, "test": 19_962}
    return Protocol(name, "celeba", "test", str(transform), image_shape=(3, *size[::-1]), counts=counts, prepare=options, file=name)


_CIFAR10 = Protocol("cifar10", "cifar10", "train", "none", image_shape=(3, 32, 32), counts={"train": 50_000, "test": 10_000})
_MNIST = Protocol("mnist", "mnist", "test", "none", image_shape=(1, 28, 28), counts={"train": 60_000, "test": 10_000})

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        _celeba("celeba", "140", (64, 64), ""),  # Tolstikhin et al. 2018 (WAE); Schirrmeister et al. 2018, section 3.1
        _celeba("celeba-crop108", "108", (64, 64), " --crop 108"),  # Zhang et al. 2020, after DCGAN
        _celeba("celeba-nocrop", "none", (128, 156), " --crop none --size 128"),  # Nguyen et al. 2019
        _CIFAR10,  # papers usually compare with the training images
        replace(_CIFAR10, name="cifar10-test", split="test"),
        _MNIST,
        replace(_MNIST, name="mnist-train", split="train"),
        # An et al. 2020 use CelebA-HQ at 256×256. It has no official split, so all images are the reference.
        Protocol(
            "celebahq256",
            "celeba-hq",
            "all",
            "none",
            image_shape=(3, 256, 256),
            counts={"train": 27_000, "test": 3000},
            file="celebahq256",
        ),
        Protocol(
            "digits", "digits", "train", "none", image_shape=(1, 8, 8), counts={"train": 1442, "test": 355}
        ),  # the test split is too small for statistics
    )
}


def find_protocol(name: str, split: str = "") -> Protocol:
    """Return the protocol of a name, with another split if one is given.

    Raises UsageError for an unknown name or split.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"{name}: no such reference; choose from {_names(name)}")
    protocol = PROTOCOLS[name]
    if split in ("", protocol.split):
        return protocol
    if split not in (*protocol.counts, "all"):
        raise UsageError(f"--split {split}: {protocol.source} has no such split; choose {', '.join(protocol.counts)} or all")
    return replace(protocol, split=split, own_split=False)


def _names(word: str) -> str:
    close = difflib.get_close_matches(word, PROTOCOLS, 1)
    return ", ".join(PROTOCOLS) + (f"; did you mean '{close[0]}'?" if close else "")


def protocol_images(protocol: Protocol, data: Path, progress: Progress) -> ImageInput:
    """Open the images of a protocol from a prepared file.

    Raises FileError if the file is missing, or was prepared differently from the protocol.
    """
    if not data.exists():
        raise FileError(f"--ref {protocol.name}: {data} does not exist; {protocol.cure}")
    config = open_images(data).header.config
    counts = config.get("counts", {})
    found = {
        "source": _source(config.get("source", {})),
        "transform": config.get("transform"),
        "image_shape": config.get("image_shape"),
        "n": sum(counts.values()) if protocol.split == "all" else counts.get(protocol.split, 0),
    }
    wanted = {name: value for name, value in protocol.facts().items() if name in found}
    for name, value in found.items():
        if value != wanted[name]:
            what = f"number of '{protocol.split}' images" if name == "n" else name.replace("_", " ")
            raise FileError(
                f"{data}: does not match '{protocol.name}': its {what} is {value}, not {wanted[name]}; {protocol.cure}, "
                "or pass this file's path as --ref"
            )
    return open_image_input(data, protocol.split, 0, progress)


def _source(described: dict[str, Any]) -> str:
    """Return the name of a source, and of its release if that is an unusual one."""
    name, release = described.get("name"), described.get("release")
    return f"{name} ({release})" if release else str(name)


@dataclass(frozen=True, eq=False)
class Reference:
    """An opened --ref. images: None if there are only statistics. statistics: set if --ref is a file of statistics."""

    images: ImageInput | None
    protocol: Protocol | None = None
    statistics: StatisticsFile | None = None

    @property
    def split(self) -> str:
        """Split of prepared data; '' for anything else."""
        if self.images:
            return self.images.selection.get("split", "")
        recorded = self.statistics.header.config.get("protocol", {}) if self.statistics and self.statistics.header else {}
        return self.protocol.split if self.protocol else recorded.get("split", "")

    @property
    def image_shape(self) -> Shape | None:
        """Shape (C, H, W); None if only statistics are known."""
        if self.images:
            return self.images.image_shape
        return self.protocol.image_shape if self.protocol else None


def open_reference(ref: str, split: str, *, needs_images: bool, progress: Progress) -> Reference:
    """Open `ref`: the name of a protocol, whose meaning is noted, or a path to images or statistics.

    Raises FileError if it does not exist or, with `needs_images`, has no images, UsageError for a split of something without splits.
    """
    if ref in PROTOCOLS:
        return _by_name(find_protocol(ref, split), needs_images, progress)
    path = Path(ref)
    if not path.exists():
        raise FileError(f"--ref {ref}: no such file or folder; give a path or a name: {_names(ref)}")
    # In ADM's files that hold both, the statistics cover all images and the array only some of them, so statistics come first.
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
