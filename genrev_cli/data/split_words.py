"""Words that name a split in the names of files, folders and arrays."""

from genrev_cli.data.source import TEST, TRAIN, VAL

_WORDS = {
    TRAIN: ("train", "training", "trn", "tr"),
    VAL: ("val", "valid", "validation", "dev"),
    TEST: ("test", "testing", "tst", "te", "t10k", "eval"),
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}


def split_of(word: str) -> int:
    """Return the split that a word names, in any letter case, or −1."""
    return _SPLITS.get(word.lower(), -1)
