"""Edits of a photo as words: the options of `genrev edit` and of what proposes such a command."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, METHOD, Settings, setting
from genrev_cli.settings.common import (
    as_is_setting,
    batch_setting,
    device_setting,
    force_setting,
    invert_setting,
    names_setting,
    scale_setting,
    split_setting,
)

FULL, RESTRICTED = "full", "restricted"
LATENTS = (FULL, RESTRICTED)
LARGEST = 1e6
"""Largest strength of an edit; any useful one is far smaller."""


@dataclass(frozen=True)
class Edits:
    """Edits of a photo; all of them are computed from its own code and added, so their order does not matter.

    move: (name of a direction, strength in its standard deviations). dims: (active dimension, strength in the prior's standard deviations).
    toward: (a class or a picture file, share of the way). like, unlike: pictures; mean code of the first minus that of the others is added.
    fade: share of the photo's inactive dimensions that goes with the edits, from 0 to 1.
    Raises UsageError for numbers beyond LARGEST, and for one of like and unlike without the other.
    """

    move: tuple[tuple[str, float], ...] = ()
    dims: tuple[tuple[int, float], ...] = ()
    toward: tuple[tuple[str, float], ...] = ()
    like: tuple[str, ...] = ()
    _: KW_ONLY
    unlike: tuple[str, ...] = ()
    fade: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.fade <= 1:
            raise UsageError(f"--fade {self.fade:g}: must be from 0 to 1")
        for flag, entries in (("--move", self.move), ("--dim", self.dims), ("--toward", self.toward)):
            for name, number in entries:
                if not abs(number) <= LARGEST:
                    raise UsageError(f"{flag} {name}={number}: must be from -{LARGEST:g} to {LARGEST:g}")
        if bool(self.like) != bool(self.unlike):
            given, other = ("--like", "--unlike") if self.like else ("--unlike", "--like")
            raise UsageError(f"{given} {(self.like or self.unlike)[0]}: the difference of two pictures is added; pass {other} too")

    def __bool__(self) -> bool:
        return any((self.move, self.dims, self.toward, self.like, self.unlike))


def parsed(
    *,
    move: Sequence[str] = (),
    dims: Sequence[str] = (),
    toward: Sequence[str] = (),
    like: Sequence[str | Path] = (),
    unlike: Sequence[str | Path] = (),
    fade: float = 0.0,
) -> Edits:
    """Return the edits that words of options describe. Raises UsageError for words of another form."""
    moves = [_named(word, "--move", "NAME=+2, in standard deviations") for word in move]
    numbers = [_named(word, "--dim", "3=-1.5, in standard deviations") for word in dims]
    for name, _ in numbers:
        if not (name.isascii() and name.isdecimal()):
            raise UsageError(f"--dim {name}: is not a number of an active dimension; write 3=-1.5")
    return Edits(
        move=tuple(moves),
        dims=tuple((int(name), strength) for name, strength in numbers),
        toward=tuple(map(_target, toward)),
        like=tuple(map(str, like)),
        unlike=tuple(map(str, unlike)),
        fade=fade,
    )


def edits_of(
    *,
    move: Mapping[str, float] | None = None,
    dim: Mapping[int, float] | None = None,
    toward: Mapping[Any, float] | str | int | Path | None = None,
    like: Any = (),
    unlike: Any = (),
    fade: float = 0.0,
) -> Edits:
    """Return the edits that Python users write: {name: strength}, {dimension: strength}, {class or file: share}, or one of the latter.

    like, unlike: a picture file, or several.
    """
    towards = toward.items() if isinstance(toward, Mapping) else [] if toward is None else [(toward, 1.0)]
    return Edits(
        move=tuple((str(name), float(strength)) for name, strength in (move or {}).items()),
        dims=tuple((int(number), float(strength)) for number, strength in (dim or {}).items()),
        toward=tuple((str(target), float(share)) for target, share in towards),
        like=_several(like),
        unlike=_several(unlike),
        fade=float(fade),
    )


def words_of(edits: Edits) -> list[str]:
    """Return the words of the options of `genrev edit` that describe edits; `parsed` reads the same edits from them."""

    def words() -> Iterator[str]:
        for flag, entries, sign in (("--move", edits.move, "+"), ("--dim", edits.dims, "+"), ("--toward", edits.toward, "")):
            for name, number in entries:
                yield from (flag, f"{name}={_number(number, sign)}")
        for flag, paths in (("--like", edits.like), ("--unlike", edits.unlike)):
            for path in paths:
                yield from (flag, path)
        if edits.fade:
            yield from ("--fade", _number(edits.fade, ""))

    return list(words())


def require_fading(fade: float, strength: float) -> None:
    """Raise UsageError if 1 − fade · strength, the share of the inactive dimensions that stays, is not from 0 to 1."""
    if not 0 <= fade * strength <= 1:
        raise UsageError(f"--fade {fade:g}: with --strength {strength:g}, choose at most {max(0.0, 1 / strength):.3g}")


def _number(number: float, sign: str) -> str:
    """Return the shortest word that is read as the same number."""
    word = repr(float(number)).removesuffix(".0")
    return sign + word if number >= 0 and not word.startswith("-") else word


def _several(given: Any) -> tuple[str, ...]:
    return (str(given),) if isinstance(given, str | Path) else tuple(map(str, given))


def _named(word: str, flag: str, example: str) -> tuple[str, float]:
    """Return name and number of 'NAME=+2'. The last '=' counts, because a name may have one."""
    name, _, number = word.rpartition("=")
    strength = _float(number)
    if not name or strength is None:
        raise UsageError(f"{flag} {word}: write {example}")
    return name, strength


def _target(word: str) -> tuple[str, float]:
    """Return target and share of 'other.jpg=0.5', 'other.jpg' or 'a=b.jpg'; without a number the share is 1."""
    name, _, number = word.rpartition("=")
    share = _float(number)
    return (name, share) if name and share is not None else (word, 1.0)


def _float(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class EditSettings(Settings):
    """strength: of all edits together; 0 gives the photo back. rest: share that is kept of what lies outside of the prior's support.
    fade: share of it that goes in proportion to the strength.

    steps: 0 writes the edited photos, else rows from none to all of the edits.
    changed: a pixel counts as changed if it differs by more than this many of 255 levels. exact_bits: 0 is the network's own.
    Raises UsageError for words that describe no edit.
    """

    move: tuple[str, ...] = setting(
        (), "Move along a direction, NAME=+2 in its standard deviations; repeat it for several.", panel=METHOD, repeated=True
    )
    dims: tuple[str, ...] = setting(
        (), "Move an active dimension, 3=-1.5 in the prior's standard deviations; repeat it.", flag="--dim", panel=METHOD, repeated=True
    )
    toward: tuple[str, ...] = setting(
        (), "Go toward a class (7=0.5) or a picture (other.jpg=0.5), by a share of the way, 1 without a number; repeat it.",
        panel=METHOD, repeated=True,
    )  # fmt: skip
    like: tuple[Path, ...] = setting(
        (), "Add what this picture has and that of --unlike lacks; several are averaged.", panel=METHOD, repeated=True
    )
    unlike: tuple[Path, ...] = setting((), "See --like.", panel=METHOD, repeated=True)
    latent: str = setting(
        FULL, "full: all else of the photo stays; restricted: start from what the active dimensions hold.", panel=METHOD, choices=LATENTS
    )
    strength: float = setting(1.0, "Multiply all edits by this; 0 gives the photo back.", panel=METHOD)
    rest: float = setting(
        1.0, "Share of the photo's other dimensions that stays: 1 keeps all, 0 is --latent restricted.", panel=METHOD, at_least=0, at_most=1
    )
    fade: float = setting(
        0.0, "Share of the photo's other dimensions that goes with the edit, so that no remains spoil it; strength 0 is still the photo.",
        panel=METHOD, at_least=0, at_most=1,
    )  # fmt: skip
    steps: int = setting(
        0, "Write a picture with a row per photo, in this many steps from none to all of the edits.", panel=METHOD, at_least=0,
        shown="the edited photos only",
    )  # fmt: skip
    directions: Path | None = setting(None, "Directions (.safetensors) of fit-directions, for --move, --toward and --measure.", panel=FILES)
    measure: bool = setting(False, "Measure how much the edit changed: the asked attribute, all others, and the picture.", panel=METHOD)
    classifier: Path | None = setting(None, "Measure with this classifier of fit-features, too.", panel=FILES)
    changed: int = setting(
        8, "--measure counts pixels that changed by more than this many of 255 levels.", panel=ADVANCED, at_least=0, at_most=254
    )
    exact_bits: int = setting(0, "Run additive couplings on a grid of 2^-K: strength 0 gives every byte back; 0: as trained.", panel=METHOD)
    split: str = split_setting("test")
    as_is: bool = as_is_setting()
    invert: bool = invert_setting()
    scale: int = scale_setting(of=" of the rows of --steps")
    names: bool = names_setting()
    force: bool = force_setting("file or folder of pictures")
    batch: int = batch_setting(64)
    device: str = device_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps == 1:
            raise UsageError("--steps 1: a row goes from none to all of the edits; give at least 2")
        if self.latent == RESTRICTED and self.rest not in (0, 1):
            raise UsageError(f"--rest {self.rest:g}: needs --latent full; --latent restricted keeps nothing of the rest")
        require_fading(self.fade, self.strength)
        if not self.edits() and self.rest == 1:
            raise UsageError("no edit is given; pass --move, --dim, --toward, --like with --unlike, or --rest")

    def edits(self) -> Edits:
        """Return the edits that the options describe. Raises UsageError for words of another form."""
        return parsed(move=self.move, dims=self.dims, toward=self.toward, like=self.like, unlike=self.unlike, fade=self.fade)
