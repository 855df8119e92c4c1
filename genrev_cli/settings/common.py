"""Settings that several commands have, each written once."""

from typing import Any, Protocol

from genrev_cli.settings.base import ADVANCED, FILES, METHOD, RUN, setting

SPLITS = ("train", "val", "test", "all")


def split_setting(default: str) -> Any:
    """Return the split of the images that a command reads."""
    return setting(default, "Images to use.", flag="--split", panel=FILES, choices=SPLITS)


def seed_setting() -> Any:
    """Return the seed of a command that draws at random."""
    return setting(0, "Seed of everything random.", panel=RUN)


def batch_setting(default: int) -> Any:
    """Return how many images are run at once."""
    return setting(default, "Images at a time.", panel=ADVANCED, at_least=1)


def device_setting() -> Any:
    """Return the device that a command runs on."""
    return setting("auto", "auto, cpu, cuda or cuda:N.", panel=RUN)


def as_is_setting() -> Any:
    """Return the switch that refuses pictures which would have to be cropped, resized or converted."""
    return setting(False, "Refuse pictures that are not already of the model's size and channels.", panel=FILES)


def invert_setting() -> Any:
    """Return the switch that turns black and white of pictures around."""
    return setting(False, "Invert your pictures, for dark ink on white paper where the model's images are light on dark.", panel=FILES)


class Taking(Protocol):
    """How a command takes pictures: what the settings of all such commands have."""

    @property
    def as_is(self) -> bool:
        """As `as_is_setting`."""

    @property
    def invert(self) -> bool:
        """As `invert_setting`."""


def scale_setting(panel: str = METHOD, of: str = "") -> Any:
    """Return how a picture on disk is magnified. of: which picture, where a command also writes other images."""
    return setting(0, f"Repeat each pixel{of} N times in both directions.", panel=panel, shown="until a tile has 64 pixels", at_least=0)


def names_setting(panel: str = METHOD, of: str = "") -> Any:
    """Return the switch of the names of rows and columns in a picture. of: as in `scale_setting`."""
    return setting(True, f"Write names beside the rows and above the columns{of}.", flag="--labels/--no-labels", panel=panel)


def force_setting(what: str = "picture") -> Any:
    """Return the switch that lets a command replace what it made from other files."""
    return setting(False, f"Replace a {what} that was made from other files.", panel=FILES)
