"""Published sets in MNIST's format of which only the compressed files have known checksums."""

from collections.abc import Mapping
from dataclasses import replace

from genrev_cli.data import mnist
from genrev_cli.data.container import open_container
from genrev_cli.data.idx import IdxSet, choose_set, read_set, set_source
from genrev_cli.data.idx_files import find_idx
from genrev_cli.data.source import ArraySource
from genrev_cli.errors import FileError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_MNIST = {content for _, content in mnist.MD5.values()}


def open_published(
    config: PrepareConfig, progress: Progress, md5: Mapping[str, str], page: str, *, classes: tuple[str, ...]
) -> ArraySource:
    """Return the 60,000 training and 10,000 test images of a set, 1×28×28, with its classes' names.

    md5: of the published .gz files, by name. Other compressions and unpacked files cannot be compared; a note says so. Raises FileError for
    missing or damaged files, other numbers of images, and MNIST's own files; UsageError for several sets.
    """
    container = open_container(config.root, f"pass --download, or get {next(iter(md5))} … from {page}")
    named = find_idx(container)
    if not named:
        raise FileError(f"{config.root}: has no IDX files ({next(iter(md5))} …); pass --download, or get them from {page}")
    chosen = choose_set(named, config.subset, str(config.root))
    found = read_set(container, [one for one in named if one.set == chosen], chosen)
    files = [file for pair in found.pairs.values() for file in pair if file]
    if any(file.md5 in _MNIST for file in files):
        raise FileError(f"{config.root}: these are MNIST's files; use 'mnist'")
    if unknown := [file.where for file in files if file.packed_md5 not in md5.values()]:
        progress.note(f"{unknown[0]}: cannot be compared with the published files, of which only the .gz have a known checksum")
    return _named(found, config, progress, classes)


def _named(found: IdxSet, config: PrepareConfig, progress: Progress, classes: tuple[str, ...]) -> ArraySource:
    source = set_source(found, config.source, config, progress)
    if source.classes != tuple(map(str, range(len(classes)))):
        raise FileError(
            f"{config.root}: has the labels {', '.join(source.classes)}, but {config.source} has 0 to {len(classes) - 1}; use 'idx'"
        )
    return replace(source, classes=classes)
