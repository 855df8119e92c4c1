"""Folder names and words that mean a split, in any letter case and usual spelling."""

import re
import unicodedata

SPELLINGS = {
    "train": ("train", "training", "trn", "trainset"),
    "val": ("val", "valid", "validation", "dev", "valset", "devset"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "testset"),
}
_MEANING = {word: split for split, words in SPELLINGS.items() for word in words}
_BESIDE = {"set", "data", "dataset", "split", "folder", "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "final"}
"""Words that may stand beside the split's in a folder's name, as in 'Training_Set' or 'val images'; so may a year, as in 'train2017'."""
_YEAR = re.compile(r"(19|20)\d\d")


def split_of(folder: str) -> str:
    """Return 'train', 'val' or 'test' for a folder that is named so, '' for any other."""
    words = _words(folder)
    rest = [word for word in words if word not in _MEANING and word not in _BESIDE and not _YEAR.fullmatch(word)]
    return "" if rest else _only(words)


def split_like(folder: str) -> str:
    """Return the split whose word occurs in a folder's name besides any other words ('trainA', 'seg_test'); '' for none or for several."""
    return _only(_words(folder))


def split_word(word: str) -> str:
    """Return the split that a word in a table means; '' for none."""
    return split_of(word.strip())


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): macOS writes 'é' as two characters, other systems as one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _words(folder: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+|\d+", composed(folder))]


def _only(words: list[str]) -> str:
    found = {_MEANING[word] for word in words if word in _MEANING}
    return found.pop() if len(found) == 1 else ""
