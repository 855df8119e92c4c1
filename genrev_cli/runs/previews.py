"""Keep a limited number of preview pictures, spread evenly over the steps of a run."""

import re
from collections.abc import Iterable
from pathlib import Path

LIMIT = 128
_NAME = re.compile(r"step-([0-9]{7,18})-.*\.png")


def spread(steps: Iterable[int], newest: int, every: int) -> set[int]:
    """Return the steps whose pictures are kept once `newest` is drawn: LIMIT at most, with the first and `newest` among them.

        the first of each interval [i·s, (i + 1)·s),   s = every · 2ᵏ,   k ≥ 0 the least with newest < (LIMIT − 1)·s

    All are kept while k = 0 and there are not more than LIMIT. To thin twice gives the same as to thin once at the end, so a resumed run
    ends with the same pictures as one that was never interrupted.
    """
    ordered, spacing = sorted(step for step in set(steps) if step <= newest), every
    kept = set(ordered)
    while len(kept) > LIMIT or newest >= (LIMIT - 1) * spacing:
        spacing *= 2
        kept = set({step // spacing: step for step in reversed(ordered)}.values()) | {newest}
    return kept


def thin(folder: Path, newest: int, every: int) -> None:
    """Remove the pictures that `spread` does not keep. Pictures of later steps, from before a kill, stay: the run draws them again."""
    found = _pictures(folder)
    kept = spread(found, newest, every)
    for step, paths in found.items():
        if step <= newest and step not in kept:
            for path in paths:
                path.unlink(missing_ok=True)


def discard(folder: Path, after: int) -> None:
    """Remove the pictures of steps beyond `after`: a run that starts or resumes there draws them again."""
    for step, paths in _pictures(folder).items():
        if step > after:
            for path in paths:
                path.unlink(missing_ok=True)


def _pictures(folder: Path) -> dict[int, list[Path]]:
    """Return step → its pictures; other files in the folder are left out."""
    found: dict[int, list[Path]] = {}
    for path in folder.glob("step-*.png"):
        name = _NAME.fullmatch(path.name)
        if name:
            found.setdefault(int(name[1]), []).append(path)
    return found
