"""Settings of sample."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, IMAGES, Settings, setting
from genrev_cli.settings.common import (
    as_is_setting,
    batch_setting,
    device_setting,
    force_setting,
    invert_setting,
    names_setting,
    scale_setting,
    seed_setting,
)
from genrev_cli.settings.sampling import SamplerFile

SPREAD = 0.5


@dataclass(frozen=True, kw_only=True)
class SampleSettings(Settings):
    """sampler: the file of another distribution of codes than the prior. labels: the classes that images take in turn, () as they mix.

    A class is a number, or a name in the header of the checkpoint or its data.
    """

    n: int = setting(64, "Number of images.", panel=IMAGES, short="-n", at_least=1)
    sampler: SamplerFile | None = None
    grid: Path | None = setting(None, "Also write the first 64 images as one picture (.png).", panel=FILES)
    scale: int = scale_setting(ADVANCED, " of the grid")
    names: bool = names_setting(ADVANCED, " of the grid")
    force: bool = force_setting("grid or folder of samples")
    seed: int = seed_setting()
    temperature: float = setting(1.0, "Scale of the codes: below 1 more typical, less diverse.", panel=IMAGES)
    labels: tuple[str, ...] = setting(
        (),
        "Draw only this class, or several in turn: names or numbers, with commas.",
        flag="--class",
        panel=IMAGES,
        shown="as they mix",
    )
    like: Path | None = setting(None, "Draw images like this picture, of any size: around its code.", panel=IMAGES)
    spread: float = setting(
        SPREAD,
        "With --like, how far from the picture: 0 is the picture itself, 1 any image with its details.",
        panel=IMAGES,
        at_least=0,
        at_most=1,
    )
    as_is: bool = as_is_setting()
    invert: bool = invert_setting()
    batch: int = batch_setting(64)
    device: str = device_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.like and self.sampler:
            raise UsageError(f"--like {self.like}: draws around a code in the prior of the checkpoint; leave {self.sampler.path} out")
        asked = (("--as-is", self.as_is), ("--invert", self.invert), (f"--spread {self.spread:g}", self.spread != SPREAD))
        if self.like is None and (alone := next((flag for flag, given in asked if given), "")):
            raise UsageError(f"{alone}: has a meaning only with --like; give a picture, or leave it out")
