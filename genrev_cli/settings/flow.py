"""Settings of fit-flow, and of the solver of a flow's equation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, METHOD, RUN, SIZE, TRAINING, Settings, setting
from genrev_cli.settings.common import device_setting, seed_setting
from genrev_cli.settings.optimizer import learning_rate, max_norm

SOLVERS = ("euler", "heun", "rk4")
PAIRS = ("independent", "minibatch", "semidiscrete")
MOST_STEPS, MOST_WIDTH, MOST_BLOCKS = 10_000, 8192, 64


def solver_setting(default: str, panel: str, shown: str = "") -> Any:
    """Return the solver of a flow's equation; '' leaves it to the flow's file."""
    choices = SOLVERS if default else ("", *SOLVERS)
    return setting(
        default, "How a flow is integrated; heun and rk4 take 2 and 4 evaluations a step.", panel=panel, shown=shown, choices=choices
    )


def solver_steps_setting(default: int, panel: str, shown: str = "") -> Any:
    """Return the number of steps of that solver; 0 leaves it to the flow's file."""
    least = 1 if default else 0
    return setting(default, "Steps of the solver of a flow.", panel=panel, shown=shown, at_least=least, at_most=MOST_STEPS)


@dataclass(frozen=True, kw_only=True)
class FlowMatchingConfig(Settings):
    """Settings that the method reads. pairs: '' is semidiscrete with a map, else minibatch; `FitFlowOptions.method` resolves it."""

    pairs: str = setting(
        "",
        "How noise is paired with codes: at random, by optimal assignment of each mini-batch, or by the map of --ot.",
        panel=METHOD,
        shown="semidiscrete with --ot, else minibatch",
        choices=("", *PAIRS),
    )
    lr: float = learning_rate(1e-3)
    max_grad_norm: float = max_norm(1.0)


@dataclass(frozen=True, kw_only=True)
class FitFlowOptions(FlowMatchingConfig):
    """A flow from N(0, I) to codes, and its training (Lipman et al. 2023).

    ot: a map of fit-ot --source gaussian. width, blocks: 0 is the rule's. ema_halflife: in steps.
    Raises UsageError for a map without semi-discrete pairs, and the other way round.
    """

    ot: Path | None = setting(None, "Pair noise with codes by this map of fit-ot --source gaussian.", panel=FILES)
    per_class: bool = setting(False, "Fit the flow to each label, from which sample --class can draw.", panel=METHOD)
    steps: int = setting(20_000, "Stop after this many steps.", panel=TRAINING, at_least=1)
    batch: int = setting(256, "Codes per mini-batch.", panel=TRAINING, at_least=1)
    ema_halflife: int = setting(500, "Half-life of the moving average of the weights, in steps; 0: off.", panel=ADVANCED, at_least=0)
    width: int = setting(0, "Units per layer.", panel=SIZE, shown="by codes and dimensions", at_least=0, at_most=MOST_WIDTH)
    blocks: int = setting(0, "Residual blocks.", panel=SIZE, shown="by codes", at_least=0, at_most=MOST_BLOCKS)
    solver: str = solver_setting("heun", METHOD)
    solver_steps: int = solver_steps_setting(16, METHOD)
    seed: int = seed_setting()
    device: str = device_setting()
    restart: bool = setting(False, "Discard what an earlier run left and start again.", panel=RUN)
    log_every: int = setting(100, "Steps between two lines of log.jsonl.", panel=ADVANCED, at_least=1)
    save_minutes: float = setting(10.0, "Minutes between two saves of the state.", panel=ADVANCED, above=0)
    time_limit: float = setting(0.0, "Save and exit before this many minutes have passed; 0: no limit.", panel=RUN, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ot and self.coupling != "semidiscrete":
            raise UsageError(f"--ot {self.ot}: is used only by --pairs semidiscrete; leave one of them out")
        if self.coupling == "semidiscrete" and not self.ot:
            raise UsageError("--pairs semidiscrete: needs --ot FILE; 'genrev fit-ot CODES --source gaussian' makes one")

    @property
    def coupling(self) -> str:
        """The pairs, one of PAIRS."""
        return self.pairs or ("semidiscrete" if self.ot else "minibatch")

    @property
    def method(self) -> FlowMatchingConfig:
        """The settings of the method alone."""
        return FlowMatchingConfig(pairs=self.coupling, lr=self.lr, max_grad_norm=self.max_grad_norm)

    def size(self, n: int, dim: int) -> tuple[int, int]:
        """Return units per layer and residual blocks for n codes of `dim` dimensions.

        Ours: 8 units per dimension, rounded up to a power of 2 between 128 and 1024, in 3 blocks; 4 blocks from 20,000 codes.
        """
        width = min(1024, max(128, 1 << (8 * dim - 1).bit_length()))
        return self.width or width, self.blocks or (3 if n < 20_000 else 4)
