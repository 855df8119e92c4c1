"""Settings that all training commands share: the length of the training, and how the run behaves on this machine."""

from dataclasses import dataclass, field, replace
from math import prod

from genrev_cli.errors import SettingError
from genrev_cli.settings.base import ADVANCED, RUN, TRAINING, Settings, setting
from genrev_cli.settings.evaluation import EvalOptions

PRECISIONS = ("fp32", "tf32", "bf16")
"""fp32: IEEE float32. tf32: float32, but convolutions and matrix products read TF32. bf16: these in bfloat16, the rest in float32."""

MEMORY = ("plain", "reversible", "checkpoint")
"""What is kept for the backward pass: everything, only the outputs of the network, or the streams between its steps."""


TRACKERS = ("tensorboard", "trackio", "wandb")
"""The choices of --tracker, which are also the names of packages and of genrev's extras."""


@dataclass(frozen=True, kw_only=True)
class Schedule(Settings):
    """How long and how a network is trained. batch: images per mini-batch over all processes. steps: 0 uses `epochs`.

    lr_drop_epochs: epochs at which the learning rates are divided. lr_drop_factors: by these numbers, one for each; () divides by 10.
    lr_halflife_epochs: epochs in which the learning rates halve, besides; 0: never. No rate depends on how long the run is to be.
    Raises SettingError for another number of factors than of epochs.
    """

    epochs: float = setting(250.0, "Stop after this many passes over the training images.", panel=TRAINING, at_least=0)
    steps: int = setting(0, "Stop after this many steps.", panel=TRAINING, at_least=0)
    batch: int = setting(250, "Images per mini-batch, over all processes.", panel=TRAINING, at_least=1)
    seed: int = setting(0, "Seed of weights, order and noise.", panel=TRAINING)
    precision: str = setting(
        "fp32",
        "fp32 is exact up to rounding; tf32 (CUDA) is faster and less exact; bf16 mixes bfloat16 and float32.",
        panel=TRAINING,
        choices=PRECISIONS,
    )
    ema_halflife_images: int = setting(
        0, "Keep a moving average of the weights (EMA), with this half-life in images; 0: off.", panel=ADVANCED, at_least=0
    )
    lr_drop_epochs: tuple[float, ...] = setting(())
    lr_drop_factors: tuple[float, ...] = setting(())
    lr_halflife_epochs: float = setting(0.0, at_least=0)
    memory: str = setting(
        "plain", "Recompute activations of invertible networks to save memory; reversible needs least.", panel=ADVANCED, choices=MEMORY
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        factors, drops = self.lr_drop_factors, self.lr_drop_epochs
        if factors and (len(factors) != len(drops) or min(factors) <= 0):
            raise SettingError("lr_drop_factors", list(factors), f"give a number above 0 for each of lr_drop_epochs = {list(drops)}")

    def rate(self, epoch: float) -> float:
        """Return the factor of the learning rates when so many epochs have passed; 1 at the start."""
        passed = sum(epoch >= drop for drop in self.lr_drop_epochs)
        factors = sorted(zip(self.lr_drop_epochs, self.lr_drop_factors, strict=False))[:passed]
        dropped = 1 / prod(factor for _, factor in factors) if factors else 0.1**passed
        return dropped * 0.5 ** (epoch / self.lr_halflife_epochs) if self.lr_halflife_epochs else dropped


@dataclass(frozen=True, kw_only=True)
class RunOptions(Settings):
    """How a run behaves on this machine. These settings do not change the result, except for rounding.

    evaluation: scores of samples during training.
    """

    device: str = setting("auto", "auto, cpu, cuda or cuda:N.", panel=RUN)
    restart: bool = setting(False, "Discard what an earlier run left and start again.", panel=RUN)
    dry_run: bool = setting(False, "Open the inputs and print settings, parameters and steps; write nothing.", panel=RUN)
    tracker: str = setting("", "Also send log and previews to this tracker.", panel=RUN, shown="none", choices=("", *TRACKERS))
    log_every: int = setting(50, "Steps between two lines of log.jsonl.", panel=ADVANCED, at_least=1)
    monitor_every: int = setting(500, "Steps between two measurements on held-out images.", panel=ADVANCED, at_least=1)
    preview_every: int = setting(500, "Steps between two preview pictures.", panel=ADVANCED, at_least=1)
    save_minutes: float = setting(10.0, "Minutes between two saves of the state.", panel=ADVANCED, above=0)
    time_limit: float = setting(0.0, "Save and exit before this many minutes have passed; 0: no limit.", panel=RUN, at_least=0)
    resident_megabytes: int = setting(
        4096, "Keep the images on the device up to this size, else read them as needed.", panel=ADVANCED, at_least=0
    )
    compile: bool = setting(False, "Compile the networks with torch.compile.", panel=ADVANCED)
    channels_last: str = setting(
        "auto",
        "Keep weights in channels-last memory order. auto: on a CPU, for invertible networks.",
        panel=ADVANCED,
        choices=("auto", "on", "off"),
    )
    evaluation: EvalOptions = field(default_factory=EvalOptions)

    def scored(self, evaluation: EvalOptions) -> "RunOptions":
        """Return the same options with these scores during training."""
        return replace(self, evaluation=evaluation)
