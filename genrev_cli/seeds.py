"""Independent random streams from one seed: every draw is a pure function of (seed, what it is for, its number)."""

import hashlib


def derive(seed: int, *words: str | int) -> int:
    """A 63-bit seed for the stream that `words` name; different words give unrelated streams."""
    text = "/".join(str(word) for word in (seed, *words))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
