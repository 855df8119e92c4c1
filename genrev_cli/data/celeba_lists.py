"""The lists beside CelebA's images: the partition and the attributes, as text from the authors or as csv from Kaggle."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from genrev_cli.data.container import Container, Folder
from genrev_cli.data.split_names import split_word
from genrev_cli.data.table import Table, read_table, read_text
from genrev_cli.errors import FileError
from genrev_cli.files.archives import BROKEN_ZIP
from genrev_cli.files.images import SPLITS
from genrev_cli.progress import Progress

PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
PARTITION = "list_eval_partition.txt"
ATTRIBUTES = "list_attr_celeba.txt"

_MAX_PARTITION, _MAX_ATTRIBUTES = 1 << 24, 1 << 26  # bytes; the published files have 2.8 and 26 MB
_ABOVE = 3  # folders above the images in which lists are looked for
_MARKED = re.compile(r"img_align_celeba(_png)?|Img", re.I)


@dataclass(frozen=True)
class Lists:
    """The lists of a set of images: inside their container, beside it, or above folders that are named as CelebA's are."""

    container: Container
    root: Path

    def find(self, names: Sequence[str], most: int) -> Iterator[tuple[str, bytes, str]]:
        """Yield name, content and location of the first file of each name.

        Raises FileError if one cannot be read, or has more than `most` bytes.
        """
        inside = {
            PurePosixPath(name).name: name for name in reversed(self.container.names()) if not re.search(r"(^|/)(\.|__MACOSX/)", name)
        }
        for name in names:
            place, file = (self.container, inside[name]) if name in inside else (self._beside(name), name)
            if place is not None:
                yield name, _read(place, file, most), place.where(file)

    def _beside(self, name: str) -> Folder | None:
        folder = self.container.path.resolve()
        for _ in range(_ABOVE):
            folder = folder.parent
            for place in (folder, folder / "Eval", folder / "Anno"):
                if (place / name).is_file():
                    return Folder(place)
            if not _MARKED.fullmatch(folder.name):
                break
        return Folder(self.root) if (self.root / name).is_file() else None


def _read(place: Container, file: str, most: int) -> bytes:
    try:
        with place.reader() as read:
            data = read(file)
    except BROKEN_ZIP as error:
        raise FileError(f"{place.where(file)}: cannot be read ({error})") from error
    if len(data) > most:
        raise FileError(f"{place.where(file)}: is larger than CelebA's; get the file again from {PAGE}")
    return data


@dataclass(frozen=True)
class Partition:
    """splits: file number → 0, 1 or 2. name: of the file. official: True if it is the published one."""

    splits: dict[int, int]
    name: str
    official: bool


def partition_of(lists: Lists, official: Callable[[np.ndarray], np.ndarray], progress: Progress) -> Partition | None:
    """Return the partition in list_eval_partition.txt or .csv; None without either. If both differ, the one that was edited counts.

    Raises FileError for an invalid file, and if both were edited in different ways.
    """
    names = (PARTITION, f"{PARTITION[:-3]}csv")
    read = [(parse_partition(read_text(data, where), where), name) for name, data, where in lists.find(names, _MAX_PARTITION)]
    found = [Partition(splits, name, _is_official(splits, official)) for splits, name in read]
    if len(found) < 2 or found[0].splits == found[1].splits:
        return found[0] if found else None
    edited = [one for one in found if not one.official]
    if len(edited) != 1:
        raise FileError(f"{lists.container.path}: {names[0]} and {names[1]} differ; remove one of them")
    progress.note(f"{lists.container.path}: {names[0]} and {names[1]} differ; using {edited[0].name}, the other one is the official split")
    return edited[0]


def _is_official(splits: dict[int, int], official: Callable[[np.ndarray], np.ndarray]) -> bool:
    try:
        return bool((official(np.array(list(splits))) == np.array(list(splits.values()))).all())
    except FileError:  # numbers that CelebA does not have
        return False


def parse_partition(text: str, where: str) -> dict[int, int]:
    """Return file number → 0, 1 or 2 from lines like '000001.jpg 0', also with commas or tabs, words for splits, or a header.

    Raises FileError, naming `where`, for any other line, and if there is none.
    """
    found: dict[int, int] = {}
    for count, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"\s*\"?(\d{6})\.(?:jpe?g|png)\"?[\s,;]+\"?([012]|[a-z]+)\"?\s*", line, re.I | re.A)
        if match and (match[2] in "012" or split_word(match[2])):
            found[int(match[1])] = int(match[2]) if match[2] in "012" else SPLITS.index(split_word(match[2]))
        elif line.strip() and (found or re.search(r"\d", line)):  # a header has no digits
            raise FileError(f"{where}: line {count} does not look like '000001.jpg 0'; get the file again from {PAGE}")
    if not found:
        raise FileError(f"{where}: has no line like '000001.jpg 0'; get the file again from {PAGE}")
    return found


@dataclass(frozen=True)
class Attributes:
    """values: (n, A) int8, 1 has, 0 has not, −1 unknown. names: of the A attributes."""

    values: np.ndarray
    names: tuple[str, ...]


def attributes_of(
    lists: Lists, numbers: np.ndarray, progress: Progress, files: Sequence[str] = (ATTRIBUTES, f"{ATTRIBUTES[:-3]}csv")
) -> Attributes | None:
    """Return the attributes of images with these file numbers, from the first list that exists; None without one.

    Raises FileError for an invalid list.
    """
    for name, data, where in lists.find(files, _MAX_ATTRIBUTES):
        try:
            table = read_table(data, name, where)
            found = _attributes(table, numbers, where)
        except FileError as error:
            raise FileError(f"{error}; get the file again from {PAGE}, or pass --no-attributes") from error
        unknown = int((found.values == -1).all(1).sum())
        if unknown:
            progress.note(f"{where}: {unknown:,} of {len(numbers):,} images have no row, so their attributes are unknown")
        return found
    return None


def _attributes(table: Table, numbers: np.ndarray, where: str) -> Attributes:
    rows, columns = list(table.rows), table.columns
    if not columns:
        columns, rows = rows[0], rows[1:]
    values = dict[int, Sequence[str]]()
    for row in rows:
        match = re.fullmatch(r"(\d{1,6})\.(?:jpe?g|png)", row[0], re.I | re.A)
        if not match or not _FLAG.keys() >= set(row[1:]):
            raise FileError(f"{where}: the row '{' '.join(row)[:60]}' does not look like '000001.jpg -1 1 …'")
        values[int(match[1])] = row[1:]
    none = [""] * (len(columns) - 1)
    used = [values.get(int(one), none) for one in numbers]
    # The whole list decides what −1 means, because the images may be few.
    flags = np.array([[_FLAG[value] for value in row] for row in used], np.int8)
    zeros = any("0" in row for row in values.values())
    absent = np.int8(-1 if zeros else 0)
    return Attributes(np.where(flags == -1, absent, np.where(flags == _BLANK, np.int8(-1), flags)).astype(np.int8), tuple(columns[1:]))


_BLANK = -2
_FLAG = {"-1": -1, "0": 0, "1": 1, "": _BLANK}
