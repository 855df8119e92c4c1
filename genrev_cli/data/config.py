"""Which settings of `prepare-data` each source uses."""

from collections.abc import Callable
from dataclasses import dataclass, fields
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
_COMMON = ("source", "skip_damaged", "workers", "limit")


def check(config: PrepareConfig) -> None:
    """Raise UsageError for an unknown source, an option that the source does not use, or options that contradict each other."""
    if config.source not in USED:
        raise UsageError(f"{config.source}: unknown source of images; choose one of {', '.join(USED)}, {HINT}")
    for field in fields(config):
        if field.name not in _COMMON + USED[config.source] and getattr(config, field.name) != field.default:
            raise UsageError(f"{flag_of(field.name, spec_of(field))} does not apply to '{config.source}'; leave it out")
    assert config.sides is not None  # raises for an unreadable --size
    if config.channels not in (0, 1, 3):
        raise UsageError(f"--channels {config.channels}: choose 1, 3, or 0 to keep the images' channels")
    if config.val_fraction + config.test_fraction >= 1:
        raise UsageError("--val-fraction and --test-fraction: their sum must be below 1")
    if config.source == "folder" and config.path is None:
        raise UsageError("folder: --path is missing; pass the folder or zip of images")
