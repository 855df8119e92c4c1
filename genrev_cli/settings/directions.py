"""Settings of fit-directions."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, METHOD, Settings, listed, setting
from genrev_cli.settings.common import as_is_setting, batch_setting, device_setting, invert_setting, seed_setting

MEANS, NORMAL, PCA, SETS = "means", "normal", "pca", "sets"
METHODS = (MEANS, NORMAL, PCA)
"""Methods that need only codes; SETS is that of two sets of pictures."""


def held_out_setting() -> Any:
    """Return the share of the codes that measures and is not fitted to."""
    return setting(0.2, "Share of the codes that is held out to measure the accuracy.", panel=METHOD, above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class FitDirectionsSettings(Settings):
    """methods: () is `means` where the codes have classes or attributes, and `pca`; with pictures it is none. of: () takes all.

    before, after: pictures without and with a property. condition: each NAME or NAME=OTHER,…; without others, all of the same kind.
    Raises UsageError for settings that do not apply together.
    """

    methods: tuple[str, ...] = setting(
        (), "means, normal (of a linear classifier), pca; with commas.", flag="--method", panel=METHOD, shown="means,pca; none with --from"
    )
    of: tuple[str, ...] = setting((), "Only these classes or attributes, with commas.", panel=METHOD, shown="all")
    condition: tuple[str, ...] = setting(
        (),
        "Also a direction that leaves others unchanged: NAME=OTHER,OTHER, or NAME for all others; repeat it for several.",
        panel=METHOD,
        repeated=True,
    )
    components: int = setting(10, "Number of principal components.", panel=METHOD, at_least=1)
    before: Path | None = setting(
        None, "Pictures without a property: a file, folder or archive; needs --to and --ckpt.", flag="--from", panel=FILES
    )
    after: Path | None = setting(None, "Pictures with the property.", flag="--to", panel=FILES)
    name: str = setting("", "Name of the direction from --from to --to.", panel=METHOD, shown="FROM-to-TO")
    as_is: bool = as_is_setting()
    invert: bool = invert_setting()
    l2: float = setting(1.0, "Weight of the classifier's L2 penalty, for codes scaled to standard deviation 1.", panel=ADVANCED, above=0)
    most: int = setting(10000, "Largest number of codes that a classifier is fitted to.", panel=ADVANCED, at_least=10)
    held_out: float = held_out_setting()
    seed: int = seed_setting()
    batch: int = batch_setting(256)
    device: str = device_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [word for word in self.methods if word not in METHODS]
        if unknown or max(Counter(self.methods).values(), default=1) > 1:
            raise UsageError(f"--method {','.join(self.methods)}: choose {listed(METHODS)}, each once")
        if (self.before is None) != (self.after is None):
            given, other = (f"--from {self.before}", "--to") if self.before else (f"--to {self.after}", "--from")
            raise UsageError(f"{given}: a direction goes from one set of pictures to another; pass {other} too")
        asked = (("--name", self.name), ("--as-is", self.as_is), ("--invert", self.invert))
        if self.before is None and (alone := next((flag for flag, value in asked if value), "")):
            raise UsageError(f"{alone}: has a meaning only with --from and --to; leave it out")
        for entry in self.condition:
            name, _, others = entry.partition("=")
            if not name or (others and not all(others.split(","))):
                raise UsageError(f"--condition {entry}: write NAME=OTHER,OTHER, or NAME for all others")
