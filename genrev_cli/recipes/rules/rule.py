"""The interface of a rule, the facts about images that it gets, and sizes that several rules share."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from genrev_cli.settings.sizes import BASE, LARGE, SMALL


class Reasoned(NamedTuple):
    """A value of a recipe and why a rule chose it."""

    value: Any
    why: str


def unreasoned(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table without the reasons."""
    return {key: entry.value if isinstance(entry, Reasoned) else entry for key, entry in table.items()}


Tables = dict[str, dict[str, Any]]
"""Tables of a recipe: name → key → a value, or a `Reasoned` one."""


@dataclass(frozen=True)
class Facts:
    """The facts that a rule gets: shape (C, H, W), number of training images, number of classes (1 without labels), and one of SIZES."""

    shape: tuple[int, int, int]
    images: int
    classes: int = 1
    size: str = BASE

    @property
    def values(self) -> int:
        """Numbers in an image, C·H·W."""
        return prod(self.shape)

    @property
    def longer(self) -> int:
        """The longer side in pixels."""
        return max(self.shape[1:])

    @property
    def shorter(self) -> int:
        """The shorter side in pixels."""
        return min(self.shape[1:])

    @property
    def small(self) -> bool:
        """True for the size that two CPU cores train in ten minutes."""
        return self.size == SMALL

    @property
    def described(self) -> str:
        """The images in words: '3×48×64, 5,000 images'."""
        return f"{'×'.join(map(str, self.shape))}, {self.images:,} images"


@dataclass(frozen=True)
class Rule:
    """How a family sizes recipes. commands: those with a table in them, the first of which trains a fresh network.

    about: what the family is, in a few words. tables: a pure function.
    """

    commands: tuple[str, ...]
    about: str
    tables: Callable[[Facts], Tables]


FULL = 50_000
"""Images for which the papers' widths are meant: MNIST has 60,000, CIFAR-10 50,000."""


def width_factor(facts: Facts) -> float:
    """Return the share of the papers' channels: (n / 50,000)^¼, ¼ to 1, and twice that for 'large'.

    The number of parameters grows with the square of the width, so with √n: fewer images can determine fewer parameters. Ours.
    """
    share = min(max((facts.images / FULL) ** 0.25, 0.25), 1.0)
    return 2 * share if facts.size == LARGE else share


def scaled(channels: int, facts: Facts) -> int:
    """Return a paper's number of channels or units for these images, at least 8."""
    return max(8, round(channels * width_factor(facts)))


def latent_dims(facts: Facts, times: float = 1.0, most: int = 128) -> int:
    """Return how many latent dimensions code an image: a power of two.

    8·(values / 64)^0.4, which gives 8 for digits, 16 for MNIST, 32 for CIFAR-10 and 64 for CelebA at 64×64 (the reversible recipes), times
    a family's factor. No more than one per 8 images, because codes of few images cannot fill a prior in many dimensions (docs/results.md).
    """
    wanted = min(8 * (facts.values / 64) ** 0.4 * times, most, max(facts.images / 8, 4), max(facts.values / 4, 1))
    return 1 << int(wanted * 1.0001).bit_length() - 1


def why_dims(facts: Facts, dims: int) -> str:
    """Return why a latent has this many dimensions."""
    few = dims * 16 > facts.images
    return "at most one per 8 images" if few else f"grows with the {facts.values:,} values of an image, between the papers' data sets"


def batch_size(facts: Facts, most: int, *, up_to: int = 64 * 64 * 3) -> int:
    """Return the images of a mini-batch: a paper's `most` for images of up to so many values, fewer for larger ones, and n/8 for few.

    A power of two, so that 2, 4 or 8 processes can share it; at least 8 (4 for very large images).
    """
    memory = most * min(1.0, up_to / facts.values)
    wanted = min(memory, max(facts.images / 8, 8))
    return max(4, 1 << int(max(wanted, 1)).bit_length() - 1)


def two_digits(number: float) -> int:
    """Return a number ≥ 1, rounded down to two significant digits: 1,549 → 1,500."""
    unit = 10 ** max(len(str(int(number))) - 2, 0)
    return int(number // unit * unit)


def ema(steps: int, batch: int) -> Reasoned:
    """Return the half-life of averaged weights: that of the recipes, or a twentieth of a short training."""
    return Reasoned(two_digits(min(10_000, steps * batch / 20)), "10,000 as in aeotgan-mnist, or a twentieth of the training")


def epochs_at(facts: Facts, steps: int, batch: int, share: float) -> float:
    """Return the epoch at a share of the steps, for `lr_drop_epochs`."""
    return float(f"{share * steps * batch / facts.images:.4g}")
