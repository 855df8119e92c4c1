"""Which preview pictures of a run stay: so many at most, evenly spread over its steps."""

import re
from collections.abc import Iterable
from pathlib import Path

LIMIT = 128
_NAME = re.compile(r"step-([0-9]{7,18})-.*\.png")


def spread(steps: Iterable[int], newest: int, every: int) -> set[int]:
    """Those of `steps` whose pictures stay when `newest` has just been drawn, LIMIT at most, the first and `newest` among them.

        the first of each interval [i·s, (i + 1)·s),   s = every · 2ᵏ,   k ≥ 0 the least with newest < (LIMIT − 1)·s

    While k = 0 and there are not more than LIMIT, all. What stays of what stayed before is what stays of all, so that a run that was
    killed and goes on ends with the same pictures.
    """
    ordered, spacing = sorted(step for step in set(steps) if step <= newest), every
    kept = set(ordered)
    while len(kept) > LIMIT or newest >= (LIMIT - 1) * spacing:
        spacing *= 2
        kept = set({step // spacing: step for step in reversed(ordered)}.values()) | {newest}
    return kept


def thin(folder: Path, newest: int, every: int) -> None:
    """Remove what `spread` does not keep; pictures of later steps, of a run that was killed and draws them again, stay."""
    found = _pictures(folder)
    kept = spread(found, newest, every)
    for step, paths in found.items():
        if step <= newest and step not in kept:
            for path in paths:
                path.unlink(missing_ok=True)


def discard(folder: Path, after: int) -> None:
    """Remove the pictures of steps after `after`, which a run that begins or goes on there will draw again."""
    for step, paths in _pictures(folder).items():
        if step > after:
            for path in paths:
                path.unlink(missing_ok=True)


def _pictures(folder: Path) -> dict[int, list[Path]]:
    """step → its pictures; whatever else lies there is not ours."""
    found: dict[int, list[Path]] = {}
    for path in folder.glob("step-*.png"):
        name = _NAME.fullmatch(path.name)
        if name:
            found.setdefault(int(name[1]), []).append(path)
    return found
