"""Settings of fid and fid-ref."""

from collections import Counter
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, PROTOCOL, Settings, setting
from genrev_cli.settings.common import SPLITS, device_setting
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.sampling import Draw, SamplerFile

BY_STATISTICS = ("fid",)
"""Metrics that need no more than the statistics of the features; all others need the features of every image."""

OF_SAMPLES = ("is",)
"""Metrics of the samples alone."""

MEMORISATION = "authpct"
"""The metric that compares samples with training images, whatever the split of the reference is."""

OF_MODELS = ("recon", "roundtrip", "bpd")
"""Metrics of a model and real images; all others compare samples with a reference."""


def reference_split() -> Any:
    """Return the setting of the reference's split."""
    return setting("", "Split of the reference.", flag="--split", panel=PROTOCOL, shown="its protocol's, else test", choices=("", *SPLITS))


def cache_setting() -> Any:
    """Return the setting that keeps features for later."""
    return setting(True, "Keep costly features on the disk, by content.", flag="--cache/--no-cache", panel=ADVANCED)


@dataclass(frozen=True)
class FidOptions(Settings):
    """Settings of fid. Raises UsageError for settings that do not apply together.

    ref: required: a name, prepared images, samples, a folder, or statistics (.npz). split: '' for the usual one.
    prepare: for picture files; otherwise a difference in size is part of the distance. metrics: the first one gives the result its name.
    seed: of KID's subsets, of MIND's directions, and of the samples of `ckpt`, whose codes come from `sampler` or the prior.
    """

    ref: str = setting("", "Real images to compare with: a name (see fid-ref), any images, or statistics (.npz).", panel=FILES)
    split: str = reference_split()
    n: int = setting(0, "Number of samples; 0 uses all of them (10,000 from a checkpoint).", panel=PROTOCOL, short="-n", at_least=0)
    _: KW_ONLY
    prepare: bool = setting(False, "Crop and resize the pictures of SAMPLES as the reference's images were.", panel=PROTOCOL)
    metrics: tuple[str, ...] = setting(
        ("fid",), "fid, kid, prdc, mind, is, cmmd, authpct, and with --ckpt recon, roundtrip, bpd; with commas.", panel=PROTOCOL
    )
    seed: int = setting(0, "Seed of a checkpoint's samples, of KID's subsets and of MIND's directions.", panel=PROTOCOL)
    features: FeatureOptions = field(default_factory=FeatureOptions)
    ckpt: Path | None = setting(None, "Score what this checkpoint generates, or its reconstructions, instead of SAMPLES.", panel=FILES)
    sampler: SamplerFile | None = None
    temperature: float = setting(1.0, "Scale of the codes of a checkpoint's samples.", panel=ADVANCED)
    build_ref: bool = setting(True, "Make missing statistics of a named reference.", flag="--build-ref/--no-build-ref", panel=ADVANCED)
    save_stats: Path | None = setting(None, "Also write the samples' statistics (.npz), as pytorch-fid does.", panel=ADVANCED)
    device: str = device_setting()
    cache: bool = cache_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        named = ",".join(self.metrics)
        if not self.metrics or max(Counter(self.metrics).values()) > 1:
            raise UsageError(f"--metrics {named}: name at least one metric, and each once")
        if self.n == 1:
            raise UsageError("--n 1: a distance needs at least 2 images; 0 takes all")
        if self.temperature != 1 and self.ckpt is None:
            raise UsageError(f"--temperature {self.temperature:g}: has a meaning only with --ckpt; add it, or leave --temperature out")
        if self.sampler and (self.ckpt is None or not self.compares):
            raise UsageError(
                f"{self.sampler.path}: a sampler makes the codes of a checkpoint's samples; give --ckpt and a metric of samples"
            )
        if self.of_models and self.ckpt is None:
            raise UsageError(f"--metrics {','.join(self.of_models)}: measures a model; give it with --ckpt")
        if self.save_stats and not self.compares:
            raise UsageError(f"--save-stats: --metrics {named} makes no features; add fid")

    @property
    def draw(self) -> Draw:
        """The samples of `ckpt`."""
        return Draw(self.seed, self.temperature)

    @property
    def needs_rows(self) -> bool:
        """True where the features of every image are needed because statistics are not enough."""
        return any(metric not in (*BY_STATISTICS, *OF_MODELS) for metric in self.metrics)

    @property
    def needs_reference_rows(self) -> bool:
        """True where the features of every image of the reference are needed."""
        return any(metric not in (*BY_STATISTICS, *OF_SAMPLES, *OF_MODELS) for metric in self.metrics)

    @property
    def needs_images(self) -> bool:
        """True where the reference's images are needed."""
        return self.needs_rows or bool(self.of_models) or self.prepare

    @property
    def compares(self) -> bool:
        """True where samples are compared with a reference."""
        return bool(self.comparisons)

    @property
    def comparisons(self) -> tuple[str, ...]:
        """The metrics that compare samples with a reference."""
        return tuple(metric for metric in self.metrics if metric not in OF_MODELS)

    @property
    def of_models(self) -> tuple[str, ...]:
        """The metrics of a model and real images."""
        return tuple(metric for metric in self.metrics if metric in OF_MODELS)


@dataclass(frozen=True)
class FidRefSettings(Settings):
    """How the statistics of a named reference are made. split: '' is the protocol's."""

    split: str = reference_split()
    features: FeatureOptions = field(default_factory=FeatureOptions)
    device: str = device_setting()
    cache: bool = cache_setting()
