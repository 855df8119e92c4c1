"""Settings of fit-ot."""

import math
from dataclasses import dataclass

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, RUN, Settings, setting

MAP, SOLVER = "Map", "Solver"
RULES = ("barycentric", "inverse-distance", "two-cell", "nearest")
COMPLEXES = ("angle", "edge")
EDGE = COMPLEXES[1]
MOST_NEIGHBOURS = 100


@dataclass(frozen=True, kw_only=True)
class FitOtOptions(Settings):
    """A semi-discrete transport map and its solver (An et al. 2020, section 3.2).

    precision: 'auto' is bf16 if the device multiplies it in hardware and the codes lie far enough apart, else fp32.
    """

    per_class: bool = setting(False, "Fit a map for each label, from which sample --class can draw.", panel=MAP)
    complex: str = setting(
        COMPLEXES[0],
        "Which cells are joined: those that meet at small angles (the published code), or whose codes are near (the paper).",
        panel=MAP,
        choices=COMPLEXES,
    )
    theta: str = setting("auto", "Largest angle between joined cells, in radians; auto finds a gap between modes.", panel=MAP)
    epsilon: str = setting(
        "auto", "With --complex edge: bound on the distance of joined codes; auto finds a gap between modes, else the median.", panel=MAP
    )
    rule: str = setting(
        "barycentric",
        "How codes are joined; two-cell is that of the published code, nearest does not interpolate.",
        panel=MAP,
        choices=RULES,
    )
    neighbours: int = setting(20, "Number of cells to search around a sample.", panel=ADVANCED, at_least=1, at_most=MOST_NEIGHBOURS)
    drop: bool = setting(False, "Where no cells are joined: draw again, or keep the nearest code.", flag="--drop/--keep", panel=MAP)
    target_error: float = setting(
        0.2,
        "Stop at this relative error (RMS) of the cells' masses, on fresh samples.",
        panel=SOLVER,
        above=0,
    )
    max_samples: int = setting(0, "Maximum number of samples; 0 means 200 per code.", panel=SOLVER, at_least=0)
    precision: str = setting("auto", "Precision inside the solver.", panel=ADVANCED, choices=("auto", "fp32", "bf16"))
    seed: int = setting(0, "Seed of everything random.", panel=RUN)
    device: str = setting("auto", "auto, cpu, cuda or cuda:N.", panel=RUN)
    save_minutes: float = setting(10.0, "Minutes between two saves of the state.", panel=ADVANCED, above=0)
    restart: bool = setting(False, "Discard what an earlier run left and start again.", panel=RUN)
    time_limit: float = setting(0.0, "Save and exit before this many minutes have passed; 0: no limit.", panel=RUN, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop and self.rule == "nearest":
            raise UsageError("--drop: --rule nearest joins no cells, so every sample would be dropped; choose another rule")
        other = "theta" if self.complex == EDGE else "epsilon"
        if getattr(self, other) != "auto":
            raise UsageError(f"--{other} {getattr(self, other)}: has no meaning with --complex {self.complex}; leave it out")
        self.bound()

    @property
    def bound_name(self) -> str:
        """The setting that bounds what is joined: 'theta' or 'epsilon'."""
        return "epsilon" if self.complex == EDGE else "theta"

    def bound(self) -> float | None:
        """Return --theta or --epsilon as a number, None for 'auto'."""
        text, edge = getattr(self, self.bound_name), self.complex == EDGE
        if text == "auto":
            return None
        try:
            bound = float(text)
        except ValueError:
            bound = -1.0
        if not (0 <= bound < math.inf if edge else 0 <= bound <= math.pi):
            allowed = "a number of at least 0" if edge else "an angle from 0 to π"
            raise UsageError(f"--{self.bound_name} {text}: must be auto or {allowed}")
        return bound
