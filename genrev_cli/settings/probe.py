"""Settings of probe."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, METHOD, PROTOCOL, Settings, setting
from genrev_cli.settings.common import seed_setting
from genrev_cli.settings.directions import held_out_setting


@dataclass(frozen=True, kw_only=True)
class ProbeSettings(Settings):
    """labels: numbers of labels, 0 being all. of: '' for the classes. test: codes to measure on; None holds some out.

    Raises UsageError for numbers of labels that are given twice, and for --held-out with --test.
    """

    test: Path | None = setting(None, "Codes (.h5) of the same model to measure on; default: a part of CODES is held out.", panel=FILES)
    labels: tuple[int, ...] = setting(
        (10, 100, 1000, 0), "Numbers of labels to learn from, with commas; 0: all.", panel=PROTOCOL, at_least=0
    )
    of: str = setting("", "Predict this attribute.", panel=METHOD, shown="the classes")
    repeats: int = setting(10, "Draws of the labels; the spread is over these.", panel=PROTOCOL, at_least=1)
    neighbours: int = setting(5, "k of k-NN; 1 where there are fewer labels than k for each class.", panel=METHOD, at_least=1)
    l2: float = setting(
        1.0, "Weight of the linear classifier's L2 penalty, for codes scaled to standard deviation 1.", panel=METHOD, above=0
    )
    most: int = setting(10000, "Largest number of codes to learn from, and to measure on.", panel=ADVANCED, at_least=2)
    held_out: float = held_out_setting()
    seed: int = seed_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.labels)) < len(self.labels):
            raise UsageError(f"--labels {','.join(map(str, self.labels))}: give each number once")
        if self.test and self.held_out != 0.2:
            raise UsageError(f"--held-out {self.held_out:g}: nothing is held out, because --test has the codes to measure on; leave it out")
