"""Words that name a split in the names of files, folders and arrays."""

from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.data.split_names import SPELLINGS

_WORDS = {
    TRAIN: (*SPELLINGS["train"], "tr"),
    VAL: SPELLINGS["val"],
    TEST: (*SPELLINGS["test"], "te", "t10k"),
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}


def split_of(word: str) -> int:
    """Return the split that a word names, in any letter case, or −1."""
    return _SPLITS.get(word.lower(), -1)
