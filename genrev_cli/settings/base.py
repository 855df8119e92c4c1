"""Define settings: `lr: float = setting(1e-4, "Learning rate.", panel=TRAINING, at_least=0)` in a frozen dataclass."""

import math
from dataclasses import KW_ONLY, MISSING, Field, dataclass, field, fields
from typing import Any

from genrev_cli.errors import SettingError

FILES, IMAGES, TRAINING, METHOD, SIZE, PROTOCOL = "Files", "Images", "Training", "Method", "Size", "Protocol"
FEATURES, SCORE, RUN, ADVANCED = "Features", "Score", "Run", "Advanced"
"""Panels of `--help`, in order."""

_SPEC = "spec"


@dataclass(frozen=True)
class Spec:
    """Properties of a setting besides its name, type and default.

    help: '' for a setting that only recipes have, without an option. flag: '' means --name-of-the-field. shown: --help shows it instead of
    the default. short: a second flag, '-n'. choices: the allowed words, with '' if the option may be left out.
    repeated: a tuple whose option is given once per entry; otherwise entries are given in one option, with commas.
    at_least, at_most, above, below: bounds of the number, or of each number in a tuple.
    """

    help: str = ""
    panel: str = METHOD
    flag: str = ""
    shown: str = ""
    _: KW_ONLY
    choices: tuple[str, ...] = ()
    at_least: float = -math.inf
    at_most: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    short: str = ""
    repeated: bool = False

    def complaint(self, value: Any) -> str:
        """Return what is wrong with a value; '' if it is allowed."""
        if self.choices and value not in self.choices:
            return f"choose {listed(tuple(filter(None, self.choices)))}"
        numbers = [number for number in (value if isinstance(value, tuple) else (value,)) if isinstance(number, int | float)]
        bounds = (
            (self.at_least, "at least", lambda number: number >= self.at_least),
            (self.at_most, "at most", lambda number: number <= self.at_most),
            (self.above, "more than", lambda number: number > self.above),
            (self.below, "less than", lambda number: number < self.below),
        )
        if not all(math.isfinite(number) for number in numbers):
            return "must be finite"
        if value == () and any(math.isfinite(bound) for bound in (self.at_least, self.at_most, self.above, self.below)):
            return "must have at least one number"
        wrong = [f"{words} {bound:g}" for bound, words, holds in bounds if math.isfinite(bound) and not all(map(holds, numbers))]
        return f"must be {' and '.join(wrong)}" if wrong else ""


def setting(
    default: Any = MISSING,
    help: str = "",
    *,
    panel: str = METHOD,
    flag: str = "",
    shown: str = "",
    choices: tuple[str, ...] = (),
    at_least: float = -math.inf,
    at_most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    short: str = "",
    repeated: bool = False,
) -> Any:
    """Return the dataclass field of a setting, see `Spec`. Without a default, every table must have the key."""
    spec = Spec(
        help,
        panel,
        flag,
        shown,
        choices=choices,
        at_least=at_least,
        at_most=at_most,
        above=above,
        below=below,
        short=short,
        repeated=repeated,
    )
    return field(default=default, metadata={_SPEC: spec})


def spec_of(field: Field) -> Spec:
    """Return the spec of a field; an empty one for a field without `setting`."""
    return field.metadata.get(_SPEC, Spec())


def flag_of(name: str, spec: Spec) -> str:
    """Return the flag of a setting's option; of a pair --on/--off, the first."""
    return (spec.flag or f"--{name.replace('_', '-')}").partition("/")[0]


class Settings:
    """Base class of settings: it checks choices and bounds. Raises SettingError for the first wrong value."""

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            spec, value = spec_of(one), getattr(self, one.name)
            if complaint := spec.complaint(value):
                raise SettingError(one.name, written(value), complaint, flag=flag_of(one.name, spec) if spec.help else "")


def listed(words: tuple[str, ...]) -> str:
    """Return 'a', 'a or b', 'a, b or c'."""
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def written(value: Any) -> str:
    """Return a value as a user writes it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
