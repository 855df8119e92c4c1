"""The sizes of networks that rules plan."""

from dataclasses import dataclass
from typing import Any

from genrev_cli.settings.base import METHOD, Settings, setting

SMALL, BASE, LARGE = "small", "base", "large"
SIZES = (SMALL, BASE, LARGE)
"""small: ten minutes on two CPU cores up to 64×64. base: the papers' sizes, less for few images. large: twice the channels of base."""


def size_setting() -> Any:
    """Return the size of the network that a rule plans; '' is base where no recipe is built in."""
    return setting(
        "",
        "Size the network for these images instead of using a built-in recipe. small: ten minutes on two CPU cores up to 64×64 pixels; "
        "base: about the papers' sizes, less for few images; large: twice as wide.",
        panel=METHOD,
        choices=("", *SIZES),
        shown="base, where there is no built-in recipe",
    )


@dataclass(frozen=True)
class SizeOptions(Settings):
    """How large a network a rule plans, for commands that train a fresh one."""

    size_of_model: str = size_setting()
