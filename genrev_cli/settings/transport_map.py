"""Settings of fit-ot."""

import math
from dataclasses import dataclass

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, RUN, Settings, setting

MAP, SOLVER = "Map", "Solver"
RULES = ("barycentric", "inverse-distance", "two-cell", "nearest")
MOST_NEIGHBOURS = 100


@dataclass(frozen=True, kw_only=True)
class FitOtOptions(Settings):
    """A semi-discrete transport map and its solver (An et al. 2020, section 3.2).

    precision: 'auto' is bf16 if the device multiplies it in hardware and the codes lie far enough apart, else fp32.
    """

    per_class: bool = setting(False, "Fit a map for each label, from which sample --class can draw.", panel=MAP)
    theta: str = setting("auto", "Largest angle between joined cells, in radians; auto finds a gap between modes.", panel=MAP)
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
        self.angle()

    def angle(self) -> float | None:
        """Return --theta as a number, None for 'auto'."""
        if self.theta == "auto":
            return None
        try:
            angle = float(self.theta)
        except ValueError:
            angle = -1.0
        if not 0 <= angle <= math.pi:
            raise UsageError(f"--theta {self.theta}: must be auto or an angle from 0 to π")
        return angle
