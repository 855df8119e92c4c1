"""Settings of scores during training."""

from dataclasses import dataclass

from genrev_cli.settings.base import SCORE, Settings, setting
from genrev_cli.settings.common import SPLITS
from genrev_cli.settings.features import FeatureOptions


@dataclass(frozen=True)
class EvalOptions(Settings):
    """Scores of samples during training (Schirrmeister et al. 2018, Figure 10: 5,000 samples each)."""

    every: int = setting(
        0,
        "Score samples after every N steps and keep the best checkpoint too; 0: never.",
        flag="--eval-every",
        panel=SCORE,
        at_least=0,
    )
    n: int = setting(5000, "Samples per score.", flag="--eval-n", panel=SCORE, at_least=2)
    split: str = setting(
        "",
        "Real images to compare with.",
        flag="--eval-split",
        panel=SCORE,
        shown="val, else test, else train",
        choices=("", *SPLITS),
    )
    features: str = setting("inception", "inception, pixel, or a file, as for fid --features.", flag="--eval-features", panel=SCORE)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.extractor  # noqa: B018 (raises for an unknown one)

    @property
    def extractor(self) -> FeatureOptions:
        """Settings of the features in which samples are compared."""
        return FeatureOptions(self.features)
