"""The sources by name."""

from collections.abc import Callable, Sequence

from genrev_cli.data.celeba import open_celeba
from genrev_cli.data.cifar10 import open_cifar10
from genrev_cli.data.config import USED, check
from genrev_cli.data.digits import open_digits
from genrev_cli.data.download import download
from genrev_cli.data.folder import open_folder
from genrev_cli.data.mnist import open_mnist
from genrev_cli.data.source import Source
from genrev_cli.plugins import register
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

FACTORIES: dict[str, Callable[[PrepareConfig, Progress], Source]] = {
    "digits": open_digits,
    "mnist": open_mnist,
    "cifar10": open_cifar10,
    "celeba": open_celeba,
    "folder": open_folder,
}


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
