"""IDX files of any set: Fashion-MNIST, KMNIST, EMNIST, QMNIST and the user's own, in a folder, zip or tar."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from genrev_cli.data.arrays import PixelRows, class_labels
from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, open_container
from genrev_cli.data.drawn import drawn_split
from genrev_cli.data.idx_files import IdxFile, Named, find_idx, open_idx
from genrev_cli.data.source import ArraySource, array_source
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.images import SPLITS
from genrev_cli.files.rows import Rows
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_MAX_LABELS = 1 << 28  # bytes of all labels
_MAX_MAPPING = 1 << 16


@dataclass(frozen=True)
class IdxSet:
    """The files of a set. pairs: split (−1 for none) → images and, if there are any, labels."""

    name: str
    container: Container
    pairs: Mapping[int, tuple[IdxFile, IdxFile | None]] = field(default_factory=dict)

    @property
    def turned(self) -> bool:
        """True for EMNIST, whose images are stored with rows and columns exchanged (Cohen et al. 2017, and torchvision's EMNIST)."""
        return bool(re.search(r"(^|[/_-])emnist", self.name, re.I))


def open_idx_source(config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the images of all parts of a set: train, then val, then test. Without parts, the split is random.

    Raises FileError if files are missing, damaged or of several sizes, UsageError if there are several sets and none is chosen.
    """
    container = open_container(config.root, "pass an existing folder, zip or tar of IDX files")
    named = find_idx(container)
    if not named:
        raise FileError(f"{config.root}: has no IDX files (like train-images-idx3-ubyte.gz); for picture files use 'folder'")
    chosen = choose_set(named, config.subset, str(config.root))
    return set_source(read_set(container, [one for one in named if one.set == chosen], chosen), "idx", config, progress)


def choose_set(named: Sequence[Named], wanted: str, where: str) -> str:
    """Return the name of the only set, or the one that `wanted` means: the whole name or its end.

    Raises UsageError, with all names, if that is not one.
    """
    sets = sorted({one.set for one in named})
    fitting = [name for name in sets if not wanted or name.lower() == wanted.lower()]
    fitting = fitting or [name for name in sets if re.search(rf"(^|[/_-]){re.escape(wanted)}$", name, re.I)]
    if len(fitting) != 1:
        listed = ", ".join(name or "(no name)" for name in sets)
        raise UsageError(f"{where}: has the sets {listed}; choose one with --subset, or pass the folder of one")
    return fitting[0]


def read_set(container: Container, named: Sequence[Named], name: str) -> IdxSet:
    """Open the files of one set.

    Raises FileError if images of a part are missing, or there are two different files for the same thing.
    """
    pairs: dict[int, tuple[IdxFile, IdxFile | None]] = {}
    for part in sorted({one.part for one in named}):
        kinds = {
            kind: [open_idx(container, one.name) for one in named if (one.part, one.kind) == (part, kind)] for kind in ("images", "labels")
        }
        for files in kinds.values():
            if len({file.md5 for file in files}) > 1:
                raise FileError(f"{files[0].where} and {files[1].where} differ, but have the same name; pass a folder with one of them")
        if not kinds["images"]:
            raise FileError(f"{kinds['labels'][0].where}: has no file of images beside it")
        pairs[part] = kinds["images"][0], kinds["labels"][0] if kinds["labels"] else None
    if -1 in pairs and len(pairs) > 1:
        raise FileError(f"{pairs[-1][0].where}: its name has no train or test, but that of {pairs[max(pairs)][0].where} has; rename it")
    return IdxSet(name, container, pairs)


def set_source(found: IdxSet, source: str, config: PrepareConfig, progress: Progress) -> ArraySource:
    """Return the source of a set, with labels numbered by class."""
    images = [PixelRows(_bytes_only(file), None, file.where, turned=found.turned) for file, _ in found.pairs.values()]
    if len({part.shape[1:] for part in images}) > 1:
        listed = ", ".join(f"{file.where} {part.shape}" for (file, _), part in zip(found.pairs.values(), images, strict=True))
        raise FileError(f"{config.root}: the images of the parts have different sizes: {listed}")
    if found.turned:
        progress.note(f"{found.name}: EMNIST's images are stored with rows and columns exchanged; they are turned upright")
    counts = [part.shape[0] for part in images]
    known = class_labels([_labels(labels, n) for (_, labels), n in zip(found.pairs.values(), counts, strict=True)], counts)
    if known is None:
        raise FileError(f"{config.root}: labels have another shape than (n,) or (n, 1)")
    labels, classes = known
    by_name = -1 not in found.pairs
    split, rule, seed = (np.repeat(list(found.pairs), counts), "by file names", None) if by_name else drawn_split(counts[0], config)
    described = ", ".join(f"{SPLITS[part]} {n}" for part, n in zip(found.pairs, counts, strict=True)) if by_name else rule
    progress.note(f"{config.root}: {found.name or 'IDX files'} with {sum(counts)} images ({described}), {len(classes)} classes")
    return array_source(
        name=source,
        size=config.dimensions,
        limit=config.limit,
        parts=images,
        labels=labels,
        split=split,
        split_rule=rule,
        seed=seed,
        classes=_class_names(found, classes),
        sums={f"{SPLITS[part] if part >= 0 else 'all'}_{kind}": file.md5 for part, pair in found.pairs.items()
              for kind, file in zip(("images", "labels"), pair, strict=True) if file},
    )  # fmt: skip


def _bytes_only(file: IdxFile) -> Rows:
    if file.rows.dtype != np.uint8:
        raise FileError(f"{file.where}: its images are {file.rows.dtype.name}, but must be bytes")
    return file.rows


def _labels(file: IdxFile | None, n: int) -> np.ndarray | None:
    """Return a file's labels (n,). QMNIST has eight columns, of which the first is the class."""
    if file is None:
        return None
    rows = file.rows
    if len(rows.shape) not in (1, 2) or rows.shape[0] != n or int(np.prod(rows.shape)) * rows.dtype.itemsize > _MAX_LABELS:
        raise FileError(f"{file.where}: has labels of shape {rows.shape} for {n} images")
    labels = rows[0:n].astype(np.int64)
    return labels if labels.ndim == 1 else labels[:, 0]


def _class_names(found: IdxSet, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes' names from EMNIST's mapping file ('label code code': characters), if there is one, else the labels as text."""
    base = found.name.rpartition("/")[2]
    file = next((name for name in found.container.names() if name.endswith(f"{base}-mapping.txt")), None)
    if not base or file is None:
        return classes
    with found.container.stream(file) as raw:
        lines = raw.read(_MAX_MAPPING).decode("ascii", "replace").splitlines()
    pairs = [line.split() for line in lines if re.fullmatch(r"\d+( \d{1,3})+", line.strip())]
    names = {label: "".join(chr(int(code)) for code in codes) for label, *codes in pairs}
    return tuple(names.get(label, label) for label in classes)


SOURCE = Entry("idx", open_idx_source, ("path", "size", "subset", "val_fraction", "test_fraction", "split_seed"))
