"""Sets in several files whose names say the split: train-00000-of-00002.parquet, shard-000003.tar."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genrev_cli.data.container import natural_key
from genrev_cli.data.drawn import drawn_split
from genrev_cli.data.split_words import split_of
from genrev_cli.errors import FileError, UsageError
from genrev_cli.settings.prepare import PrepareConfig

_MOST = 100_000


def find_shards(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files that a path means: itself, those of a folder at any depth, or those of a pattern like shard-{000..009}.tar.

    Raises FileError if one is missing or there is none, UsageError for a pattern of too many.
    """
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.name.lower().endswith(suffixes) and file.is_file()]
        if not found:
            raise FileError(f"{path}: has no {' or '.join(suffixes)} files")
        return sorted(found, key=lambda file: natural_key(file.relative_to(path).as_posix()))
    files = expand_braces(str(path))
    for file in map(Path, files):
        if not file.is_file():
            raise FileError(f"{file}: no such file")
    return [Path(file) for file in files]


def expand_braces(pattern: str) -> list[str]:
    """Return the names of a pattern: 'a-{00..02}.tar' → a-00.tar, a-01.tar, a-02.tar; '{train,val}.tar' → train.tar, val.tar.

    Raises UsageError for more than 100,000.
    """
    match = re.search(r"\{(?:(\d{1,12})\.\.(\d{1,12})|([^{}]*,[^{}]*))\}", pattern)
    if not match:
        return [pattern]
    first, last, words = match.groups()
    if first is not None and int(last) - int(first) >= _MOST:
        raise UsageError(f"{pattern}: means more than {_MOST:,} files")
    middle = words.split(",") if words is not None else [f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1)]
    ends = expand_braces(pattern[match.end() :])
    if len(middle) * len(ends) > _MOST:
        raise UsageError(f"{pattern}: means more than {_MOST:,} files")
    return [pattern[: match.start()] + one + end for one in middle for end in ends]


def split_by_shards(files: Sequence[Path], counts: Sequence[int], config: PrepareConfig) -> tuple[np.ndarray, str, int | None]:
    """Return the split of all images (n,) uint8, the rule in words, and the seed of a random split. counts: images per file.

    A file's split is the first word of its name, or a folder's name; if no file has one, the split is random.

    Raises UsageError if only some have one.
    """
    splits = [_split(file, config.root) for file in files]
    if all(split >= 0 for split in splits):
        return np.repeat(splits, counts).astype(np.uint8), "by file names", None
    if any(split >= 0 for split in splits):
        without = next(file for file, split in zip(files, splits, strict=True) if split < 0)
        raise UsageError(f"{without}: its name says no split (train, val, test), but those of other files do; rename or remove it")
    return drawn_split(sum(counts), config)


def _split(file: Path, root: Path) -> int:
    folders = file.relative_to(root).parts[:-1] if root in file.parents else ()
    words = [*re.split(r"[-_.]", file.name)[:-1], *reversed(folders)]
    return next((split_of(word) for word in words if split_of(word) >= 0), -1)
