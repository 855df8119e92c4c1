"""Classes, attributes and splits from a table: match its rows to image files, and decide what its columns are."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from genrev_cli.data.buckets import shown
from genrev_cli.data.formats import EXTENSIONS
from genrev_cli.data.split_names import composed, split_word
from genrev_cli.data.table import Table
from genrev_cli.errors import FileError, UsageError

_SAMPLE = 300  # rows that decide which column has the names
_UNKNOWN = ("", "nan", "null")
_BITS = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "false": 0, "no": 0, "-1": -1, "-1.0": -1}
_CLASS = ("label", "labels", "class", "classes", "category", "target")
_PARTITION = {"0": "train", "1": "val", "2": "test"}
_FEW_IMAGES = 20  # so few may all have different labels

Columns = dict[str, list[str]]
"""Name → the value for each of n images, '' without one."""


@dataclass(frozen=True)
class Matched:
    """The rows that belong to images. columns: without the names'. images, rows: examples and numbers of what has no partner."""

    columns: Columns
    unmatched_images: Sequence[str] = ()
    unmatched_rows: Sequence[str] = ()


@dataclass(frozen=True)
class Labels:
    """Classes and attributes of n images, read from the columns of a table.

    classes: '' without one; None without a class column. column: its name; '' if there is no other.

    attributes: (n, A) int8, 1 has, 0 has not, −1 unknown. names: of the A attributes. unused: column → why it is neither.
    """

    classes: Sequence[str] | None
    column: str
    attributes: np.ndarray
    names: tuple[str, ...]
    _: KW_ONLY
    unused: dict[str, str]


def match(table: Table, names: Sequence[str], where: str) -> Matched | None:
    """Match rows to images by path, by its last folders, or by file name if that is unique; each with or without the extension.

    Return None if no row matches. Raises FileError if two rows of an image differ.
    """
    sample = table.rows[: _SAMPLE if len(table.rows) > 10 * _SAMPLE else None]
    column, key, index = _best(sample, names)
    if not index and sample is not table.rows:
        column, key, index = _best(table.rows, names)
    if not index:
        return None
    rows, header = list(table.rows), table.columns
    if not header and _is_header(rows, column, index.get(key(rows[0][column]), -1)):
        header, rows = rows[0], rows[1:]
    header = header or tuple(f"column {i + 1}" for i in range(len(rows[0])))
    found: dict[int, tuple[str, ...]] = {}
    left = []
    for row in rows:
        image = index.get(key(row[column]), -1)
        if image < 0:
            left.append(row[column])
        elif found.setdefault(image, row) != row:
            raise FileError(f"{where}: has different rows for {names[image]}; keep one")
    blank = ("",) * len(header)
    cells = zip(*(found.get(image, blank) for image in range(len(names))), strict=True)
    columns = {name: list(values) for i, (name, values) in enumerate(zip(_distinct(header), cells, strict=True)) if i != column}
    return Matched(columns, [name for image, name in enumerate(names) if image not in found], left)


def _best(rows: Sequence[Sequence[str]], names: Sequence[str]) -> tuple[int, Callable[[str], str], dict[str, int]]:
    """Return the column of names, the function from a cell to its key, and key → image; an empty index if nothing matches."""
    column, best, index, most = 0, _Key(99, True), dict[str, int](), 0
    for key in (_Key(parts, extension) for parts in (99, 3, 2, 1) for extension in (True, False)):
        keys = [key(name) for name in names]
        counts = Counter(keys)
        found = {one: image for image, one in enumerate(keys) if counts[one] == 1}
        for i in range(len(rows[0]) if rows else 0):
            matched = len({found[one] for row in rows if (one := key(row[i])) in found})
            if matched > most:
                column, best, index, most = i, key, found, matched
        if most == len(rows):
            break
    return column, best, index


@dataclass(frozen=True)
class _Key:
    """The last parts of a path, with or without the extension."""

    parts: int
    extension: bool

    def __call__(self, path: str) -> str:
        parts = [part for part in composed(path).replace("\\", "/").split("/") if part not in ("", ".")]
        if parts and not self.extension:
            parts[-1] = parts[-1].rpartition(".")[0] or parts[-1]
        return "/".join(parts[-self.parts :])


def _is_header(rows: Sequence[Sequence[str]], column: int, image: int) -> bool:
    """Return True if the first row names columns: it names no image, and has a cell that its column never has again."""
    if image >= 0 or len(rows) < 2 or rows[0][column].lower().endswith(EXTENSIONS):
        return False
    return any(rows[0][i] not in {row[i] for row in rows[1:]} for i in range(len(rows[0])) if i != column)


def _distinct(header: Sequence[str]) -> list[str]:
    """Return column names without repetitions or empty ones."""
    seen: Counter[str] = Counter()
    found = []
    for i, name in enumerate(header, 1):
        name = name or f"column {i}"
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def join(tables: Sequence[tuple[Sequence[int], Matched]], n: int) -> Columns:
    """Return the columns of several tables, each about some of n images."""
    joined: Columns = {}
    for images, matched in tables:
        for name, values in matched.columns.items():
            column = joined.setdefault(name, [""] * n)
            for image, value in zip(images, values, strict=True):
                column[image] = value
    return joined


def read_columns(columns: Columns, *, label_column: str = "", where: str = "labels") -> Labels:
    """Decide what columns are: a single one is the class; of several, those with two values are attributes, another one is the class.

    label_column: the class column, if several could be.

    Raises UsageError if there is no column of that name, or several columns can be the class.
    """
    if label_column and label_column not in columns:
        raise UsageError(f"--label-column {label_column}: {where} has no such column; choose {', '.join(columns)}")
    n = len(next(iter(columns.values()), []))
    vector = _one_hot(columns)
    if vector is not None:
        return Labels(vector, "", np.empty((n, 0), np.int8), (), unused={})
    kinds = {name: _kind(values) for name, values in columns.items()}
    if len(columns) == 1 and kinds[name := next(iter(columns))] == "binary":
        kinds[name] = "class"
    if label_column:
        kinds[label_column] = "class"
    chosen = label_column or _choose([name for name, kind in kinds.items() if kind == "class"], where)
    flags = [name for name, kind in kinds.items() if kind == "binary"]
    return Labels(
        classes=[_known(value) for value in columns[chosen]] if chosen else None,
        column=chosen if len(columns) > 1 else "",
        attributes=_bits([columns[name] for name in flags], n),
        names=tuple(flags),
        unused={
            name: "is not the chosen class" if kind == "class" else kind
            for name, kind in kinds.items()
            if name != chosen and kind != "binary"
        },
    )


def read_flags(columns: Columns) -> Labels | None:
    """Decide what a column of 0 and 1 for each class means: the classes if every row has exactly one 1, else attributes.

    Rows of images that the table lacks are empty and do not count. Return None for columns with other values.
    """
    if any(_kind(values) != "binary" for values in columns.values()):
        return None
    rows = list(zip(*columns.values(), strict=True))
    marked = [[name for name, value in zip(columns, row, strict=True) if _BITS.get(value.lower()) == 1] for row in rows]
    if len(columns) > 1 and all(len(own) == 1 for own, row in zip(marked, rows, strict=True) if any(row)):
        return Labels(["".join(own) for own in marked], "", np.empty((len(rows), 0), np.int8), (), unused={})
    return Labels(None, "", _bits(list(columns.values()), len(rows)), tuple(columns), unused={})


def _kind(values: Sequence[str]) -> str:
    """Return 'binary', 'class', or why a column is neither."""
    counts = {_known(value): count for value, count in Counter(values).items()}
    found = counts.keys() - {""}
    total = sum(counts[value] for value in found)
    if not found:
        return "is empty"
    if {value.lower() for value in found} <= _BITS.keys():
        return "binary"
    if all(map(split_word, found)):
        return "names splits; pass the table as --split-file to use it"
    if _are_real(found):
        return "has real numbers"
    if len(found) > max(_FEW_IMAGES, total / 2):
        return f"has {len(found):,} different values for {total:,} images"
    return "class"


def _are_real(values: Collection[str]) -> bool:
    """Return True if all values are numbers, and some are no whole ones."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return False
    return not all(number.is_integer() for number in numbers)


def _choose(candidates: Sequence[str], where: str) -> str:
    named = [name for name in candidates if name.lower() in _CLASS]
    if len(candidates) > 1 and len(named) != 1:
        raise UsageError(f"{where}: the columns {shown(candidates, 5)} can each be the class; choose one with --label-column NAME")
    return named[0] if named else candidates[0] if candidates else ""


def _known(value: str) -> str:
    return "" if value.lower() in _UNKNOWN else composed(value)


def _one_hot(columns: Columns) -> list[str] | None:
    """Return the classes of label vectors with a single 1 each, as StyleGAN's dataset.json can have; None for other columns."""
    if len(columns) < 2 or any(f"label[{i}]" not in columns for i in range(len(columns))):
        return None
    rows = list(zip(*(columns[f"label[{i}]"] for i in range(len(columns))), strict=True))
    if any(sorted(row) != ["0"] * (len(row) - 1) + ["1"] for row in rows if any(row)):
        return None
    return [str(row.index("1")) if any(row) else "" for row in rows]


def _bits(columns: Sequence[Sequence[str]], n: int) -> np.ndarray:
    """Return (n, A) int8. In tables without any 0, −1 means 'has not', as CelebA writes it; in others it means 'unknown'."""
    unknown = -2
    known = np.empty((n, len(columns)), np.int8)
    for i, values in enumerate(columns):
        codes = {value: _BITS.get(value.lower(), unknown) for value in set(values)}
        known[:, i] = [codes[value] for value in values]
    absent = -1 if (known == 0).any() else 0
    return np.where(known == -1, np.int8(absent), np.where(known == unknown, np.int8(-1), known)).astype(np.int8)


def read_splits(columns: Mapping[str, Sequence[str]], where: str) -> list[str]:
    """Return 'train', 'val', 'test' or '' for each image, from the column whose values all mean splits (0, 1 and 2 do, as in CelebA's).

    Raises FileError if there is none, or more than one.
    """
    found = {name: splits for name, values in columns.items() if any(splits := list(_splits(values)))}
    if len(found) > 1:
        raise FileError(f"{where}: has {len(found)} columns of splits ({', '.join(found)}); pass a table with one of them")
    if not found:
        example = ", ".join(f"{name} = {next(filter(None, values), '')!r}" for name, values in list(columns.items())[:5])
        raise FileError(f"{where}: has no column of splits; one must say train, val or test for each image (it has {example})")
    return next(iter(found.values()))


def _splits(values: Sequence[str]) -> Iterator[str]:
    """Yield the splits that values mean; nothing if one of them means none."""
    words = {value: split_word(value) or _PARTITION.get(value, "") for value in set(values)}
    if all(words[value] for value in words if value):
        yield from (words[value] for value in values)
