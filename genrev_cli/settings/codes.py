"""Settings of encode and fit-gmm."""

from dataclasses import dataclass

from genrev_cli.settings.base import METHOD, Settings, setting
from genrev_cli.settings.common import as_is_setting, batch_setting, device_setting, seed_setting, split_setting


@dataclass(frozen=True, kw_only=True)
class EncodeSettings(Settings):
    """split: of prepared images. as_is: for pictures. full: the codes are z = E(x), not y, the active dimensions of clip(E(x))."""

    split: str = split_setting("train")
    as_is: bool = as_is_setting()
    full: bool = setting(False, "Write all latent dimensions, not clipped; without it, the active ones, clipped.", panel=METHOD)
    batch: int = batch_setting(256)
    device: str = device_setting()


@dataclass(frozen=True)
class FitGmmSettings(Settings):
    """A mixture of Gaussians with full covariances."""

    components: int = setting(10, "Number of Gaussians.", panel=METHOD, at_least=1)
    seed: int = seed_setting()
