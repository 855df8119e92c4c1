"""Look at all images of a set before they are decoded: their sizes, colours and depth decide how the set is prepared."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from genrev_cli.data.container import Container
from genrev_cli.data.decode import FileSource, run
from genrev_cli.data.depth import Deep, decided_range
from genrev_cli.data.formats import EIGHT_BITS
from genrev_cli.data.pixels import probe
from genrev_cli.data.source import Damage, refuse_damaged
from genrev_cli.data.transform import Transform
from genrev_cli.errors import FileError, UsageError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig


@dataclass(frozen=True)
class Survey:
    """The content of the images' headers.

    sizes: (width, height) → count. gray: True if all are. rows: row numbers of undamaged images. deep: pixels of more than 8 bits.
    """

    sizes: Counter[tuple[int, int]]
    gray: bool
    rows: np.ndarray
    damaged: tuple[Damage, ...]
    _: KW_ONLY
    deep: tuple[Deep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Described:
    """Facts about images that a source has before it reads them; the fields are those of `Source`."""

    name: str
    labels: np.ndarray
    split: np.ndarray
    split_rule: str
    seed: int | None = None
    classes: tuple[str, ...] = ()
    class_rule: str = ""
    attributes: np.ndarray | None = None
    attribute_names: tuple[str, ...] = ()


def file_source(
    container: Container, names: Sequence[str], described: Described, config: PrepareConfig, *, progress: Progress
) -> FileSource:
    """Return the source of the first images (`config.limit`) with these names, prepared as `config` says.

    Raises FileError if an image is damaged (unless `skip_damaged`), UsageError if sizes differ and none is given, or the values of deep
    pixels are in doubt.
    """
    names = names[: config.limit or len(names)]
    found = survey(container, names, config, progress)
    if not len(found.rows):
        raise FileError(f"{container.path}: all {len(names)} images are damaged")
    values = decided_range(found.deep, config.range, str(container.path), progress.note)
    transform = Transform(channels=config.channels or (1 if found.gray else 3), size=config.dimensions, values=values)
    width, height = config.dimensions or common_size(found.sizes, container)
    return FileSource(
        name=described.name,
        image_shape=(transform.channels, height, width),
        transform=transform,
        labels=described.labels[found.rows],
        split=described.split[found.rows],
        split_rule=described.split_rule,
        seed=described.seed,
        classes=described.classes,
        class_rule=described.class_rule,
        attributes=None if described.attributes is None else described.attributes[found.rows],
        attribute_names=described.attribute_names,
        damaged=found.damaged,
        container=container,
        names=[names[row] for row in found.rows],
        workers=config.workers,
    )


def survey(container: Container, names: Sequence[str], config: PrepareConfig, progress: Progress) -> Survey:
    """Read the headers of all images; of none if everything that they decide is given and no format can have more than 8 bits."""
    if config.size and config.channels and all(name.lower().endswith(EIGHT_BITS) for name in names):
        return Survey(Counter(), config.channels == 1, np.arange(len(names)), ())
    sizes: Counter[tuple[int, int]] = Counter()
    gray, rows, damaged, deep = True, list[int](), list[Damage](), list[Deep]()
    with progress.task("scan", len(names), "images") as bar:
        for outcomes in run(container, names, functools.partial(probe, least=config.dimensions), config.workers):
            for row, outcome in enumerate(outcomes, len(rows) + len(damaged)):
                if outcome.reason:
                    damaged.append(Damage(container.where(names[row]), names[row], outcome.reason))
                else:
                    rows.append(row)
                    sizes[outcome.value.size] += 1
                    gray &= outcome.value.gray
                    deep += [outcome.value.deep] if outcome.value.deep else []
            refuse_damaged(damaged, config.skip_damaged)
            bar.advance(len(outcomes))
    return Survey(sizes, gray, np.array(rows, np.int64), tuple(damaged), deep=tuple(deep))


def common_size(sizes: Counter[tuple[int, int]], container: Container) -> tuple[int, int]:
    """Return the size (width, height) of all images. Raises UsageError if they differ."""
    if len(sizes) > 1:
        some = ", ".join(f"{width}x{height} ({count})" for (width, height), count in sizes.most_common(5))
        more = f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
        raise UsageError(f"{container.path}: the images have different sizes: {some}{more}; choose one, as in --size 64")
    (size,) = sizes
    return size
