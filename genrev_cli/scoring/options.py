"""The settings of `fid`."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.scoring.metrics import BY_STATISTICS, OF_MODELS, metric_names
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.store.drawing import Draw
from genrev_cli.store.samplers import SamplerFile


@dataclass(frozen=True)
class FidOptions:
    """ref: a name, prepared images, samples, a folder, or statistics (.npz). split: of a prepared reference, '' for the usual one.

    n: the first so many samples; 0 for all, of a checkpoint 10,000. metrics: of `metric_names`; the first one gives the result its name.
    seed: of KID's subsets, and of the samples of `ckpt`, whose codes come from `sampler` or the prior, scaled by `temperature`.
    build_ref: make the statistics of a reference by name where they are missing. save_stats: write those of the samples.
    Raises UsageError for what has no meaning.
    """

    ref: str
    split: str = ""
    n: int = 0
    metrics: tuple[str, ...] = ("fid",)
    seed: int = 0
    features: FeatureOptions = FeatureOptions()  # noqa: RUF009 (frozen)
    ckpt: Path | None = None
    sampler: SamplerFile | None = None
    temperature: float = 1.0
    build_ref: bool = True
    save_stats: Path | None = None
    device: str = "auto"
    cache: bool = True

    def __post_init__(self) -> None:
        unknown = [metric for metric in self.metrics if metric not in metric_names()]
        twice = [metric for metric, count in Counter(self.metrics).items() if count > 1]
        if unknown or twice or not self.metrics:
            raise UsageError(f"--metrics {','.join(self.metrics)}: choose from {', '.join(metric_names())}, each once, separated by commas")
        if self.n < 0 or self.n == 1:
            raise UsageError(f"-n {self.n}: a distance needs at least 2 images; 0 takes all")
        if not math.isfinite(self.temperature) or (self.temperature != 1 and self.ckpt is None):
            raise UsageError(f"--temperature {self.temperature:g}: a finite number is needed, and --ckpt that it belongs to")
        if self.sampler and (self.ckpt is None or not self.compares):
            raise UsageError(
                f"{self.sampler.path}: a sampler makes the codes of a checkpoint's samples; give --ckpt and a metric of samples"
            )
        if self.of_models and self.ckpt is None:
            raise UsageError(f"--metrics {','.join(self.of_models)}: measures a model; give it with --ckpt")
        if self.save_stats and not self.compares:
            raise UsageError(f"--save-stats: --metrics {','.join(self.metrics)} makes no features; add fid")

    @property
    def draw(self) -> Draw:
        """The samples of `ckpt`."""
        return Draw(self.seed, self.temperature)

    @property
    def needs_rows(self) -> bool:
        """Whether the features of every image are needed, where statistics are not enough."""
        return any(metric not in (*BY_STATISTICS, *OF_MODELS) for metric in self.metrics)

    @property
    def needs_images(self) -> bool:
        """Whether those of the reference are."""
        return self.needs_rows or bool(self.of_models)

    @property
    def comparisons(self) -> tuple[str, ...]:
        """The metrics of samples and reference."""
        return tuple(metric for metric in self.metrics if metric not in OF_MODELS)

    @property
    def of_models(self) -> tuple[str, ...]:
        """The metrics of a model and real images."""
        return tuple(metric for metric in self.metrics if metric in OF_MODELS)

    @property
    def compares(self) -> bool:
        """Whether samples are compared with a reference."""
        return bool(self.comparisons)
