"""Read splits and classes from the folders of image files. What can mean two things is refused, with the options that settle it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import PurePosixPath

from genrev_cli.data.buckets import BUCKETS, CLASSES, judge, shown
from genrev_cli.data.split_names import SPELLINGS, composed, split_like, split_of
from genrev_cli.errors import FileError, UsageError

Folders = tuple[str, ...]
"""The folders above an image, from the top."""

FEW = 0.05
"""Largest share of images that may lie beside the split or class folders without a question."""
_IMAGES = {"images", "image", "imgs", "img", "jpegimages", "photos", "pictures"}


@dataclass(frozen=True)
class Structure:
    """Splits and classes of n images, read from their folders.

    splits: 'train', 'val' or 'test', or '' for all if folders do not name splits. classes: '' without one. kept: the rows to use; the
    others lie outside of the split folders. split_folders: split → names of its folders. class_rule: how classes were found. notes: for
    the user.
    """

    splits: Sequence[str]
    classes: Sequence[str]
    kept: Sequence[int]
    split_folders: dict[str, list[str]]
    _: KW_ONLY
    class_rule: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Splits:
    """splits, kept, folders: as in `Structure`. rest: the folders of each image without those that name its split."""

    splits: list[str]
    rest: list[Folders]
    kept: list[int]
    folders: dict[str, list[str]]
    _: KW_ONLY
    notes: list[str]


def read_structure(
    names: Sequence[str], *, split_by: str = "", class_level: int = 0, classes: bool = True, where: str = "folder"
) -> Structure:
    """Return the structure of image files with these names ('train/cat/1.png').

    A folder around everything is skipped. If all top folders are named like splits, they are the splits; so are the folders in all top
    folders. The top folders below are the classes, unless they are numbered buckets. A single class counts as none.
    split_by: 'folders' also takes names with other words ('trainA') and leaves out what lies beside; 'random' takes no folder as a split.
    class_level: the level of the class folders, below the split; 0 decides. classes: False for none. where: begins the messages.

    Raises UsageError if the folders can mean two things, FileError if no image is left to train on.
    """
    tree = _without_common_root([tuple(map(composed, name.split("/")[:-1])) for name in names])
    split = _read_splits(tree, names, split_by, where)
    if split.folders and "train" not in split.folders:
        found = shown([folder for folders in split.folders.values() for folder in folders])
        raise FileError(f"{where}: no image is in the train split, all are in {found}; pass --split-by random to split them anew")
    rest = split.rest if split_by else _checked(split, where)
    rest = _without_split_roots(rest, split.splits)
    if not classes:
        return Structure(
            split.splits, [""] * len(names), split.kept, split.folders, class_rule="none: --no-classes", notes=tuple(split.notes)
        )
    found_classes, rule, notes = _read_classes(rest, split, names, class_level, where=where)
    return Structure(split.splits, found_classes, split.kept, split.folders, class_rule=rule, notes=(*split.notes, *notes))


def _without_common_root(tree: list[Folders]) -> list[Folders]:
    """Return the folders below the one that holds all others, unless that is named like a split; images may lie beside it."""
    while len(tops := {folders[0] for folders in tree if folders}) == 1 and not split_of(*tops):
        tree = [folders[1:] for folders in tree]
    return tree


def _read_splits(tree: list[Folders], names: Sequence[str], split_by: str, where: str) -> _Splits:
    level = _level_of_splits(tree, split_by, where)
    if level is None:
        return _Splits([""] * len(tree), tree, list(range(len(tree))), {}, notes=[])
    rest = [folders[:level] + folders[level + 1 :] for folders in tree]
    if split_by == "random":
        return _Splits([""] * len(tree), rest, list(range(len(tree))), {}, notes=[])
    splits = [split_like(folders[level]) if len(folders) > level else "" for folders in tree]
    kept = [row for row, split in enumerate(splits) if split]
    outside = [names[row] for row, split in enumerate(splits) if not split]
    if not split_by and len(outside) > FEW * len(names):
        raise UsageError(
            f"{where}: {_many(outside)} outside of the folders that are named like splits; "
            "pass --split-by folders (leaves such images out), --split-by random (splits all images anew), or --split-file FILE"
        )
    folders: dict[str, list[str]] = {split: [] for split in SPELLINGS if split in splits}
    for split, folder in dict.fromkeys((splits[row], tree[row][level]) for row in kept):
        folders[split].append(folder)
    notes = []
    if outside:
        notes.append(f"{where}: left out {_many(outside)} outside of the split folders; pass --split-by random to use all images")
    if any(named != [split] for split, named in folders.items()):
        notes.append(f"{where}: {', '.join(f'{shown(named)} → {split}' for split, named in folders.items())}")
    return _Splits(splits, rest, kept, folders, notes=notes)


def _level_of_splits(tree: list[Folders], split_by: str, where: str) -> int | None:
    """Return the level of the folders that name splits, 0 or 1; None without such folders."""
    tops = list(dict.fromkeys(folders[0] for folders in tree if folders))
    seconds = list(dict.fromkeys(folders[1] for folders in tree if len(folders) > 1))
    full = all(len(folders) > 1 for folders in tree if folders)
    if split_by == "folders":
        if not any(map(split_like, tops + seconds)):
            raise UsageError(
                f"{where}: --split-by folders: no folder is named like train, val or test; use --split-by random or --split-file"
            )
        return 0 if any(map(split_like, tops)) else 1
    for level, folders in ((0, tops), *([(1, seconds)] if full else [])):
        if folders and all(map(split_of, folders)):
            if not split_by:
                _refuse_twins(folders, where)
            return level
        if level == 0 and not split_by:
            _refuse_mixture(tops, where)
    return None


_SPLIT_OPTIONS = (
    "pass --split-by folders (leaves other folders out), --split-by random (takes such folders as classes), or --split-file FILE"
)


def _refuse_mixture(tops: Sequence[str], where: str) -> None:
    named = [folder for folder in tops if split_like(folder)]
    others = [folder for folder in tops if folder not in named]
    if named:
        unlike = f"but {shown(others)} beside {_it(named)} {_is(others)} not" if others else "but with other words in their names"
        raise UsageError(f"{where}: {shown(named)} {_is(named)} named like a split, {unlike}; {_SPLIT_OPTIONS}")


def _refuse_twins(folders: Sequence[str], where: str) -> None:
    twice = [split for split, count in Counter(map(split_of, folders)).items() if count > 1]
    if twice:
        twins = [folder for folder in folders if split_of(folder) == twice[0]]
        raise UsageError(
            f"{where}: {shown(twins)} are all named like the split '{twice[0]}'; pass --split-by folders to join them, --split-by random "
            "to split all images anew, or --split-file FILE"
        )


def _checked(split: _Splits, where: str) -> list[Folders]:
    """Return the other folders. Raises UsageError if one of them is named like a split, but not like that of its image."""
    for folders, part in zip(split.rest, split.splits, strict=True):
        for folder in folders:
            if split_of(folder) not in ("", part):
                raise UsageError(
                    f"{where}: '{'/'.join(folders)}' is named like a split, but other folders beside it are not; {_SPLIT_OPTIONS}"
                )
    return split.rest


def _without_split_roots(rest: list[Folders], splits: Sequence[str]) -> list[Folders]:
    """Return the folders below 'train' in train/train/cat, and below 'images' in train/images/1.png."""
    for split in set(splits):
        while True:
            rows = [row for row, part in enumerate(splits) if part == split]
            tops = {rest[row][:1] for row in rows}
            top = next(iter(tops))
            if len(tops) != 1 or not top or not (top[0].lower() in _IMAGES or (split and split_like(top[0]) == split)):
                break
            for row in rows:
                rest[row] = rest[row][1:]
    return rest


def _read_classes(
    rest: list[Folders], split: _Splits, names: Sequence[str], class_level: int, *, where: str
) -> tuple[list[str], str, list[str]]:
    """Return the class of each image, the rule, and notes."""
    level = class_level or 1
    classes = [folders[level - 1] if len(folders) >= level else "" for folders in rest]
    found = {classes[row] for row in split.kept} - {""}
    none = [""] * len(rest)
    if len(found) < 2:
        if class_level:
            raise UsageError(
                f"{where}: --class-level {class_level}: there are {len(found)} folders on that level, but a class needs another"
            )
        return none, f"none: '{found.pop()}' is the only one" if found else "none: no class folders", []
    if class_level:
        return classes, f"by folders of level {level}", []
    verdict = judge(_stems(classes, split, names))
    if verdict == BUCKETS:
        return none, f"none: {shown(sorted(found), 2)} are numbered parts, no classes", []
    if verdict != CLASSES:
        raise UsageError(f"{where}: {verdict}; pass --no-classes if they are no classes, or --class-level 1 if they are")
    _refuse_unseen(classes, split.splits, where)
    return classes, "by folders", _class_notes(rest, classes, split, names, where=where)


def _stems(classes: Sequence[str], split: _Splits, names: Sequence[str]) -> dict[str, list[str]]:
    """Return folder → stems of its files, of the train split if there is one with several classes, else of all images."""
    stems: dict[str, list[str]] = {}
    several = len({classes[row] for row in split.kept if split.splits[row] == "train"} - {""}) > 1
    for row in split.kept:
        if classes[row] and (split.splits[row] in ("train", "") or not several):
            stems.setdefault(classes[row], []).append(PurePosixPath(names[row]).stem)
    return stems


def _refuse_unseen(classes: Sequence[str], splits: Sequence[str], where: str) -> None:
    """Raise UsageError if val or test has a class that train lacks."""
    known = {name for name, split in zip(classes, splits, strict=True) if split == "train"}
    for part in ("val", "test"):
        unseen = sorted({name for name, split in zip(classes, splits, strict=True) if split == part} - known - {""})
        if unseen:
            kind = "the class" if len(unseen) == 1 else "the classes"
            raise UsageError(
                f"{where}: '{part}' has {kind} {shown(unseen)}, which 'train' lacks; pass --no-classes, --split-by random (splits all "
                "images anew), or --class-level 1 (keeps them)"
            )


def _class_notes(rest: list[Folders], classes: Sequence[str], split: _Splits, names: Sequence[str], *, where: str) -> list[str]:
    """Return a note on deeper folders, if there are. Raises UsageError if many images lie beside the class folders."""
    for part in dict.fromkeys(split.splits[row] for row in split.kept):
        rows = [row for row in split.kept if split.splits[row] == part]
        beside = [names[row] for row in rows if not classes[row]]
        if len(rows) > len(beside) > FEW * len(rows):
            raise UsageError(
                f"{where}: {_many(beside)} beside the folders {shown(sorted({*classes} - {''}))}; pass --no-classes if the folders are no "
                "classes, or --class-level 1 if they are (other images then have no class)"
            )
    deeper = {folders[1] for folders in rest if len(folders) > 1} - _IMAGES
    if len(deeper) > 1:
        return [f"{where}: the top folders are the classes; --class-level 2 takes the folders in them ({shown(sorted(deeper))})"]
    return []


def _many(names: Sequence[str]) -> str:
    """Return 'a.png' or '7 images (a.png, b.png, …)'."""
    if len(names) == 1:
        return f"1 image ({names[0]})"
    return f"{len(names):,} images ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"


def _is(words: Sequence[str]) -> str:
    return "is" if len(words) == 1 else "are"


def _it(words: Sequence[str]) -> str:
    return "it" if len(words) == 1 else "them"
