"""Settings of the features of images, for `fid` and for scores during training."""

from dataclasses import dataclass, replace
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, Settings, setting
from genrev_cli.settings.base import FEATURES as PANEL

FEATURES = ("inception", "pixel", "dinov2", "clip")
TRANSFORMERS = ("dinov2", "clip")
PROFILES = ("pytorch-fid", "tf", "torchmetrics")
PRECISIONS = ("fp32", "bf16")
TORCHSCRIPT_SUFFIXES = (".pt", ".pth", ".ts", ".torchscript")
CLASSIFIER_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class FeatureOptions(Settings):
    """The features in which images are compared. Raises UsageError for unknown features, or settings that do not apply to them."""

    features: str = setting(
        "inception",
        "inception (the FID), dinov2, clip (for cmmd), pixel (needs no weights), a TorchScript file, or a classifier of fit-features; "
        "distances in all but the first have other names.",
        panel=PANEL,
    )
    profile: str = setting("pytorch-fid", "Package whose image preparation to follow.", panel=ADVANCED, choices=PROFILES)
    weights: Path | None = setting(
        None, "Weights of Inception, DINOv2 or CLIP; default: $GENREV_WEIGHTS, the usual folders, else fetched.", panel=PANEL
    )
    precision: str = setting("fp32", "Precision of Inception; the effect of bf16 is estimated.", panel=ADVANCED, choices=PRECISIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features not in FEATURES and self.suffix not in (*TORCHSCRIPT_SUFFIXES, CLASSIFIER_SUFFIX):
            raise UsageError(
                f"--features {self.features}: choose {', '.join(FEATURES)}, or the path of a TorchScript file "
                f"({', '.join(TORCHSCRIPT_SUFFIXES)}) or of a classifier by 'genrev fit-features' ({CLASSIFIER_SUFFIX})"
            )
        if self.features == "inception":
            return
        rest, named = replace(self, features="inception"), "--profile, --weights and --precision"
        if self.features in TRANSFORMERS:
            rest, named = replace(rest, weights=None), "--profile and --precision"
        if rest != FeatureOptions():
            raise UsageError(f"{named} do not apply to --features {self.features}; leave them out")

    @property
    def suffix(self) -> str:
        """The suffix of `features` as a path, in lower case; '' if it has none."""
        return Path(self.features).suffix.lower()
