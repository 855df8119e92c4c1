"""Settings of what samples are drawn from, and how."""

import math
from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, Settings, setting
from genrev_cli.settings.flow import solver_setting, solver_steps_setting

MAKERS = {"ot": "genrev fit-ot", "gmm": "genrev fit-gmm", "flow": "genrev fit-flow"}
"""Name of a sampler → the command that makes it."""


@dataclass(frozen=True)
class SamplerFile:
    """A sampler's file. name: what it must hold, '' for any sampler. solver, solver_steps: of a flow; '' and 0 are the file's own."""

    path: Path
    name: str = ""
    solver: str = ""
    solver_steps: int = 0


@dataclass(frozen=True)
class Draw:
    """Settings of a draw. temperature: below 1, codes lie nearer to the mean. labels: classes of the samples, in turn; () mixes all."""

    seed: int = 0
    temperature: float = 1.0
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.temperature):
            raise UsageError(f"--temperature {self.temperature}: must be finite")


@dataclass(frozen=True, kw_only=True)
class Sampling(Settings):
    """The distribution that codes are drawn from: the checkpoint's prior, or one that was fitted to codes."""

    ot: Path | None = setting(None, "Draw codes from this transport map of fit-ot instead of the prior.", panel=FILES)
    gmm: Path | None = setting(None, "Draw codes from this mixture of fit-gmm instead of the prior.", panel=FILES)
    flow: Path | None = setting(None, "Draw codes from this flow of fit-flow instead of the prior.", panel=FILES)
    sampler: str = setting(
        "", "Which to draw from if several are given.", panel=ADVANCED, shown="the one that is given", choices=("", "prior", *MAKERS)
    )
    solver: str = solver_setting("", ADVANCED, "that of --flow")
    solver_steps: int = solver_steps_setting(0, ADVANCED, "those of --flow")

    def file(self) -> SamplerFile | None:
        """Return the sampler's file, None for the prior. Raises UsageError where the choice is unclear or its file is missing."""
        files = {name: path for name, path in (("ot", self.ot), ("gmm", self.gmm), ("flow", self.flow)) if path}
        if len(files) > 1 and not self.sampler:
            given = " and ".join(f"--{name}" for name in files)
            raise UsageError(f"{given}: {'both' if len(files) == 2 else 'all'} are given; choose one with --sampler")
        name = self.sampler or next(iter(files), "prior")
        if name != "flow" and (self.solver or self.solver_steps):
            asked = f"--solver {self.solver}" if self.solver else f"--solver-steps {self.solver_steps}"
            raise UsageError(f"{asked}: has a meaning only for codes of a flow; give --flow, or leave it out")
        if name == "prior":
            return None
        if name not in files:
            raise UsageError(f"--sampler {name}: needs --{name} FILE; '{MAKERS[name]}' makes one")
        return SamplerFile(files[name], name, self.solver, self.solver_steps)
