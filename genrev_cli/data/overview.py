"""Describe a source in lines for the user: the rules that were applied, and the images per split, class and attribute."""

from collections.abc import Sequence

import numpy as np

from genrev_cli.data.source import Source
from genrev_cli.files.counts import attribute_counts, class_counts
from genrev_cli.files.images import SPLITS

_MOST = 12  # rows of a table
_NAME = 24  # letters of a name


def overview(source: Source) -> list[str]:
    """Return the lines about a source."""
    return [*_splits(source), *_classes(source), *_attributes(source)]


def _splits(source: Source) -> list[str]:
    counts = ", ".join(f"{name} {int((source.split == i).sum()):,}" for i, name in enumerate(SPLITS))
    return [f"{source.name}: {counts} (split: {source.split_rule})"]


def _classes(source: Source) -> list[str]:
    rows = class_counts(source.labels, source.split, source.classes)
    if not rows:
        return [f"{source.name}: no classes{source.class_rule.removeprefix('none')}"] if source.class_rule else []
    rule = f" ({source.class_rule})" if source.class_rule else ""
    return [f"{source.name}: {len(source.classes):,} classes{rule}; images per split:", *table(rows, SPLITS)]


def _attributes(source: Source) -> list[str]:
    if source.attributes is None or not source.attribute_names:
        return []
    rows = attribute_counts(source.attributes, source.attribute_names)
    kind = "attribute" if len(rows) == 1 else "attributes"
    return [f"{source.name}: {len(rows)} {kind}; images that:", *table(rows, ("have it", "lack it", "unknown"))]


def table(rows: dict[str, list[int]], columns: Sequence[str]) -> list[str]:
    """Return the lines of a table of counts. Long names are clipped, and of many rows the first ones are shown."""
    shown = list(rows.items()) if len(rows) <= _MOST else list(rows.items())[: _MOST - 2]
    names = [name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name, _ in shown]
    cells = [[f"{count:,}" for count in counts] for _, counts in shown]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    first = max(map(len, names))
    lines = [f"  {name:<{first}}  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
             for name, row in zip(["", *names], [columns, *cells], strict=True)]  # fmt: skip
    if len(shown) < len(rows):
        rest = np.array([counts for _, counts in list(rows.items())[len(shown) :]])
        lines.append(f"  … and {len(rows) - len(shown):,} more, with {', '.join(f'{n:,}' for n in rest.sum(0))} images")
    return lines
