"""WebDataset shards: tars in which 000012.jpg stands beside its label, 000012.cls or 000012.json."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from genrev_cli.data.arrays import class_labels
from genrev_cli.data.config import Entry
from genrev_cli.data.container import Container, Several
from genrev_cli.data.decode import FileSource
from genrev_cli.data.formats import EXTENSIONS
from genrev_cli.data.shards import find_shards, split_by_shards
from genrev_cli.data.survey import Described, file_source
from genrev_cli.data.tar import open_tar
from genrev_cli.errors import FileError, UsageError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_LABEL_KEYS = ("label", "cls", "class", "class_id", "target")
_MAX_LABEL = 1 << 20  # bytes


def open_webdataset(config: PrepareConfig, progress: Progress) -> FileSource:
    """Return the images of all shards in order, labelled by .cls or .json. The split is that of the shards' names, else random.

    Raises FileError for damaged shards, unreadable labels or no images, UsageError where a sample has several images.
    """
    files = find_shards(config.root, (".tar", ".tar.gz", ".tgz"))
    container = Several(config.root, {_part(file, config.root): open_tar(file) for file in files})
    samples: dict[str, dict[str, str]] = defaultdict(dict)
    for name in container.names():
        folder, _, base = name.rpartition("/")
        key, _, extension = base.partition(".")
        samples[f"{folder}/{key}"][extension.lower()] = name
    chosen = _images(samples, config.subset, str(config.root))
    names = [samples[key][extension] for key, extension in chosen.items()]
    labels, classes, rule = _labels(container, [samples[key] for key in chosen], str(config.root))
    parts = Counter(name.partition("/")[0] for name in names)
    split, split_rule, seed = split_by_shards(files, [parts[_part(file, config.root)] for file in files], config)
    progress.note(f"{config.root}: {len(names)} images in {len(files)} shards")
    described = Described(name="webdataset", labels=labels, split=split, split_rule=split_rule, seed=seed, classes=classes, class_rule=rule)
    return file_source(container, names, described, config, progress=progress)


def labels_beside(container: Container, names: Sequence[str]) -> str:
    """Return 'cls' or 'json' if most of the pictures with these names have such a file with a label beside them, else ''."""
    there = set(container.names())
    for kind in ("cls", "json"):
        beside = [f"{folder}{slash}{base.partition('.')[0]}.{kind}" for folder, slash, base in (name.rpartition("/") for name in names)]
        found = [name for name in beside if name in there]
        if 2 * len(found) > len(names):
            with container.reader() as read:
                try:
                    if _label(read(found[0]), kind, container.where(found[0])):
                        return kind
                except (FileError, ValueError):  # 'webdataset' could not read it either
                    continue
    return ""


def _part(file: Path, root: Path) -> str:
    """Return the name of a shard within the set, without '/'."""
    return (file.relative_to(root).as_posix() if root in file.parents else file.name).replace("/", "-")


def _images(samples: Mapping[str, Mapping[str, str]], wanted: str, where: str) -> dict[str, str]:
    """Return sample → extension of its image.

    Raises FileError if there are no images, UsageError if a sample has several and none is chosen.
    """
    found: dict[str, str] = {}
    for key, files in samples.items():
        extensions = [one for one in files if f".{one}".endswith(EXTENSIONS) and (not wanted or one == wanted.lower())]
        if len(extensions) > 1:
            raise UsageError(f"{where}: sample {key} has the images {', '.join(sorted(extensions))}; choose with --subset {extensions[0]}")
        if extensions:
            found[key] = extensions[0]
    if not found:
        kinds = ", ".join(sorted({one for files in samples.values() for one in files})[:5]) or "none"
        raise FileError(f"{where}: the shards have no images{f' of the kind {wanted}' if wanted else ''} (they have {kinds})")
    return found


def _labels(container: Container, samples: Sequence[Mapping[str, str]], where: str) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Return labels (n,) int64, the classes' names, and where they come from."""
    kind = next((one for one in ("cls", "json") if any(one in files for files in samples)), None)
    unknown = np.full(len(samples), -1, np.int64), (), "none: no .cls or .json files with labels"
    if kind is None:
        return unknown
    texts = []
    with container.reader() as read:
        for files in samples:
            texts.append(_label(read(files[kind]), kind, container.where(files[kind])) if kind in files else "")
    if not any(texts):
        return unknown
    whole = all(text.isascii() and text.isdigit() for text in texts if text)
    column = np.array([int(text) if text else -1 for text in texts]) if whole else np.array(texts)
    labelled = class_labels([column], [len(texts)])
    assert labelled is not None  # a column of integers or texts
    return *labelled, f"from .{kind} files"


def _label(data: bytes, kind: str, where: str) -> str:
    """Return the label in a file as text; '' if it has none. Raises FileError if it cannot be read."""
    try:
        if len(data) > _MAX_LABEL:
            raise ValueError(f"{len(data)} bytes")
        text = data.decode("utf-8").strip()
        if kind == "cls":
            return text[:200]
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{where}: not a readable label ({error})") from error
    value = next((content[key] for key in _LABEL_KEYS if isinstance(content, dict) and isinstance(content.get(key), int | str)), "")
    return str(value)[:200]


SOURCE = Entry(
    "webdataset",
    open_webdataset,
    ("path", "size", "channels", "values", "subset", "val_fraction", "test_fraction", "split_seed"),
)
