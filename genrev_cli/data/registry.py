"""The sources by name: the SOURCE of every file of this folder, and those of plugins."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pkgutil import iter_modules

from genrev_cli import data
from genrev_cli.data.config import USED, Entry, check
from genrev_cli.data.download import download
from genrev_cli.data.source import Source
from genrev_cli.plugins import register
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

FACTORIES: dict[str, Callable[[PrepareConfig, Progress], Source]] = {}
"""Source → what opens it."""


def _add(entry: Entry) -> None:
    FACTORIES[entry.name], USED[entry.name] = entry.open, entry.options


for _module in iter_modules(data.__path__, f"{data.__name__}."):
    if _module.name != __name__ and (_entry := getattr(import_module(_module.name), "SOURCE", None)):
        _add(_entry)


def register_source(name: str, open: Callable[[PrepareConfig, Progress], Source], options: Sequence[str] = ("path", "size")) -> None:
    """Add the source of a plugin: `genrev prepare-data NAME` reads it. options: the fields of `PrepareConfig` that it uses.

    Raises UsageError for a name that is taken.
    """
    register("source", name, FACTORIES, open)
    USED[name] = tuple(options)


def open_source(config: PrepareConfig, progress: Progress) -> Source:
    """Return the source that `config` describes; download its files first if `config.download` is set.

    Raises UsageError for contradictory settings, FileError for missing or damaged files, UnavailableError without network.
    """
    check(config)
    if config.download:
        download(config.source, config.root, progress)
    return FACTORIES[config.source](config, progress)
