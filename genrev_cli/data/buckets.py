"""Tell class folders from numbered folders that only keep the number of files per folder small."""

import re
from collections.abc import Iterable, Mapping, Sequence

CLASSES, BUCKETS = "classes", "buckets"

_DATE = re.compile(r"(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?[0-3]\d)?)?")
_CAMERA = re.compile(r"[1-9]\d\d[A-Z0-9_]{5}")  # DCIM/100CANON: the DCF standard's names for the folders of a camera
_PART = re.compile(r"(data[-_ ]?)?(part|bucket|shard|batch|chunk|archive|volume)[-_ ]?\d+", re.I)
_MARKED = ("images", "imgs", "jpegimages", "masks", "mask", "labels", "annotations", "groundtruth", "segmentations", "gt")
_HASH = re.compile(r"[0-9a-fA-F-]{16,}")
_SURELY = 5  # digits of zero-padded folders of equal size that nobody chooses for classes
_HASHED = 16  # folders


def judge(folders: Mapping[str, Sequence[str]]) -> str:
    """Return CLASSES, BUCKETS, or a sentence on why folders can be either. folders: name → stems of the files in it; at least two folders.

    Folders are buckets if they are named like parts or like a camera's folders, or if their numbers are padded with zeros, and the numbers
    of the files go on from folder to folder, or five digits name folders of equal size. Single digits are classes, and so are other
    numbers, unless they look like buckets too.
    """
    names = list(folders)
    if all(map(_PART.fullmatch, names)) or (all(map(_CAMERA.fullmatch, names)) and len({name[:3] for name in names}) == len(names)):
        return BUCKETS
    if all(name.isascii() and name.isdigit() for name in names):
        return _judge_numbers(folders)
    if all(map(_DATE.fullmatch, names)):
        return f"the folders {shown(names)} are named like dates"
    marked = [name for name in names if re.sub(r"[-_ ]", "", name.lower()) in _MARKED]
    if marked:
        return f"the folders {shown(names)} include '{marked[0]}', which is named like a part of a data set"
    if len(names) >= _HASHED and all(re.fullmatch(r"[0-9a-f]{2,3}", name) for name in names):
        return f"the folders {shown(names)} are named like the beginnings of hash sums"
    return CLASSES


def _judge_numbers(folders: Mapping[str, Sequence[str]]) -> str:
    names = sorted(folders, key=int)
    if all(len(name) == 1 for name in names):
        return CLASSES
    padded = len({len(name) for name in names}) == 1 and any(name.startswith("0") for name in names)
    counts = [len(folders[name]) for name in names]
    equal = len(set(counts[:-1])) <= 1 and counts[-1] <= counts[0]
    continued = _continued([folders[name] for name in names])
    if padded and (continued or (equal and len(names[0]) >= _SURELY)):
        return BUCKETS
    if (padded and equal) or (padded and not _restarted(folders.values())) or (continued and equal):
        return f"the folders {shown(names)} can be classes, or parts of one set"
    if all(re.fullmatch(_DATE, name) for name in names):
        return f"the folders {shown(names)} are named like dates"
    return CLASSES


def _continued(groups: Iterable[Sequence[str]]) -> bool:
    """Return True if every file has a number, and each folder's numbers are above those of the folder before."""
    last = -1
    for stems in groups:
        numbers = [_number(stem) for stem in stems]
        if min(numbers) <= last:
            return False
        last = max(numbers)
    return True


def _restarted(groups: Iterable[Sequence[str]]) -> bool:
    """Return True if the files are numbered, and begin again in another folder. Names that are hash sums have no numbers."""
    stems = [stem for group in groups for stem in group]
    numbers = {_number(stem) for stem in stems}
    return -1 not in numbers and len(numbers) < len(stems) and not any(map(_HASH.fullmatch, stems))


def _number(stem: str) -> int:
    """Return the last number in a file's name, −1 without one."""
    digits = re.findall(r"\d{1,18}", stem)
    return int(digits[-1]) if digits else -1


def shown(names: Sequence[str], most: int = 3) -> str:
    """Return some names for a message: 'a', 'b', 'c' and 7 more."""
    some = ", ".join(f"'{name}'" for name in names[:most])
    return f"{some} and {len(names) - most:,} more" if len(names) > most else some
