"""Which settings of `prepare-data` each source uses."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.plugins import HINT
from genrev_cli.progress import Progress
from genrev_cli.settings.base import flag_of, spec_of
from genrev_cli.settings.prepare import PrepareConfig


@dataclass(frozen=True)
class Entry:
    """A source. open: (config, progress) → the source. options: the fields of `PrepareConfig` that it uses."""

    name: str
    open: Callable[[PrepareConfig, Progress], Any]
    options: tuple[str, ...]


USED: dict[str, tuple[str, ...]] = {}
"""Source → the options that it uses. The registry fills it."""
_OWN = {
    "folder": "the folder, zip or tar of images",
    "idx": "the folder, zip or tar of IDX files",
    "array": "the .npz, .npy or .h5, or a folder of .npy files",
    "parquet": "the .parquet file, or a folder of them",
    "webdataset": "the .tar, a folder of them, or a pattern like shard-{000000..000009}.tar",
}
"""Sources of the user's own files → what --path is."""
_BY_SUFFIX = {".npz": "array", ".npy": "array", ".h5": "array", ".parquet": "parquet"}
"""Suffix of a file → the source that reads it; 'folder' reads folders and archives."""
_COMMON = ("source", "skip_damaged", "workers", "limit", "dry_run")


def check(config: PrepareConfig) -> None:
    """Raise UsageError for an unknown source, an option that the source does not use, or options that contradict each other."""
    if config.source not in USED and (path := Path(config.source)).exists():
        kind = _BY_SUFFIX.get(path.suffix.lower(), "folder")
        raise UsageError(f"{path}: is a path, not a source; run 'genrev prepare-data {kind} --path {shlex.quote(str(path))}'")
    if config.source not in USED:
        raise UsageError(f"{config.source}: unknown source of images; choose one of {', '.join(USED)}, {HINT}")
    for field in fields(config):
        if field.name not in _COMMON + USED[config.source] and getattr(config, field.name) != field.default:
            raise UsageError(f"{flag_of(field.name, spec_of(field))} does not apply to '{config.source}'; leave it out")
    assert config.sides is not None  # raises for an unreadable --size
    config.range  # noqa: B018 (raises for an unreadable --values)
    if config.channels not in (0, 1, 3):
        raise UsageError(f"--channels {config.channels}: choose 1, 3, or 0 to keep the images' channels")
    if config.val_fraction + config.test_fraction >= 1:
        raise UsageError("--val-fraction and --test-fraction: their sum must be below 1")
    _check_labels(config)
    if config.download and config.dry_run:
        raise UsageError("--dry-run downloads nothing; leave out --download, or --dry-run")
    if config.source in _OWN and config.path is None:
        raise UsageError(f"{config.source}: --path is missing; pass {_OWN[config.source]}")


def _check_labels(config: PrepareConfig) -> None:
    """Raise UsageError for options about splits and classes that contradict each other."""
    if config.split_by and config.split_file:
        raise UsageError(f"--split-by {config.split_by} and --split-file both choose the split; give one of them")
    for name in ("labels", "label_column", "class_level"):
        if config.no_classes and getattr(config, name):
            raise UsageError(f"--no-classes and --{name.replace('_', '-')} contradict each other; give one of them")
    if config.labels and config.class_level:
        raise UsageError("--labels and --class-level both choose the classes; give one of them")
