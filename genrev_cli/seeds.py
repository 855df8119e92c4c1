"""Independent random streams from one seed: each draw depends only on the seed, its purpose and its number."""

import hashlib


def derive(seed: int, *words: str | int) -> int:
    """Return the 63-bit seed of the stream named by `words`; different words give independent streams."""
    text = "/".join(str(word) for word in (seed, *words))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
