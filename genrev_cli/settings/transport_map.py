"""Settings of fit-ot."""

import math
from dataclasses import dataclass, fields

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, RUN, Settings, flag_of, setting, spec_of

MAP, SOLVER = "Map", "Solver"
RULES = ("barycentric", "inverse-distance", "two-cell", "nearest")
COMPLEXES = ("angle", "edge")
EDGE = COMPLEXES[1]
MOST_NEIGHBOURS = 100
SOURCES = ("cube", "gaussian")
SEARCHES = ("auto", "exact", "clusters")
CLUSTERS = SEARCHES[2]
MANY_CODES = 50_000
"""Number of codes above which a map is fitted with a search on a CPU."""
_EXTENSION = ("complex", "theta", "epsilon", "rule", "neighbours", "drop")
"""Settings of how codes are joined; only maps from the cube join them."""
_TARGET_ERROR = 0.2


@dataclass(frozen=True, kw_only=True)
class FitOtOptions(Settings):
    """A semi-discrete transport map and its solver (An et al. 2020, section 3.2).

    source 'gaussian': a potential that pairs N(0, I) with codes, for fit-flow. An et al. extend maps from a bounded convex domain, which
    the Gaussian is not, so such a map joins no codes and draws those of the data.
    search: it is fixed when a run begins, so that runs of earlier versions go on as they began.
    precision: 'auto' is bf16 if the device multiplies it in hardware and the codes lie far enough apart, else fp32.
    """

    source: str = setting("cube", "Where samples come from: the uniform cube, or N(0, I), for fit-flow --ot.", panel=MAP, choices=SOURCES)
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
        _TARGET_ERROR,
        "Stop at this relative error (RMS) of the cells' masses, on fresh samples.",
        panel=SOLVER,
        above=0,
    )
    target_chi2: float = setting(
        0.0, "Stop at this χ² of the masses, the square of the error; 0 uses --target-error.", panel=SOLVER, at_least=0
    )
    max_samples: int = setting(0, "Maximum number of samples; 0 means 200 per code.", panel=SOLVER, at_least=0)
    precision: str = setting("auto", "Precision inside the solver.", panel=ADVANCED, choices=("auto", "fp32", "bf16"))
    search: str = setting(
        "auto",
        "Codes that are scored for a sample: all (exact), or the clusters that have the winner for 99.9 % of samples; auto takes clusters "
        f"for maps of more than {MANY_CODES:,} codes on a CPU, and goes on as a run began.",
        panel=ADVANCED,
        choices=SEARCHES,
    )
    seed: int = setting(0, "Seed of everything random.", panel=RUN)
    device: str = setting("auto", "auto, cpu, cuda or cuda:N.", panel=RUN)
    save_minutes: float = setting(10.0, "Minutes between two saves of the state.", panel=ADVANCED, above=0)
    restart: bool = setting(False, "Discard what an earlier run left and start again.", panel=RUN)
    time_limit: float = setting(0.0, "Save and exit before this many minutes have passed; 0: no limit.", panel=RUN, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop and self.rule == "nearest":
            raise UsageError("--drop: --rule nearest joins no cells, so every sample would be dropped; choose another rule")
        if self.target_chi2 and self.target_error != _TARGET_ERROR:
            raise UsageError(f"--target-chi2 {self.target_chi2:g} and --target-error {self.target_error:g}: give one of them")
        if self.source != "cube":
            self._require_no_extension()
        other = "theta" if self.complex == EDGE else "epsilon"
        if getattr(self, other) != "auto":
            raise UsageError(f"--{other} {getattr(self, other)}: has no meaning with --complex {self.complex}; leave it out")
        self.bound()

    def _require_no_extension(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in _EXTENSION and value != one.default and (one.name, value) != ("rule", "nearest"):
                raise UsageError(
                    f"{flag_of(one.name, spec_of(one))}: a map from a Gaussian joins no codes; leave it out, or take --source cube"
                )

    @property
    def joins(self) -> str:
        """The rule by which codes are joined."""
        return self.rule if self.source == "cube" else "nearest"

    @property
    def error(self) -> float:
        """The relative error of the masses at which to stop, √χ²."""
        return math.sqrt(self.target_chi2) if self.target_chi2 else self.target_error

    @property
    def bound_name(self) -> str:
        """The setting that bounds what is joined: 'theta' or 'epsilon'."""
        return "epsilon" if self.complex == EDGE else "theta"

    def bound(self) -> float | None:
        """Return --theta or --epsilon as a number, None for 'auto'; a map that joins no codes has 0."""
        if self.source != "cube":
            return 0.0
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
