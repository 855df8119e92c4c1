"""Settings of encode, decode and fit-gmm."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, METHOD, Settings, setting
from genrev_cli.settings.common import (
    as_is_setting,
    batch_setting,
    device_setting,
    force_setting,
    invert_setting,
    seed_setting,
    split_setting,
)


@dataclass(frozen=True, kw_only=True)
class EncodeSettings(Settings):
    """split: of prepared images. as_is, invert: for pictures. full: the codes are z = E(x), not y, the active dimensions of clip(E(x)).

    exact_bits: 0 is the network's own. flow: a flow of fit-flow, to write Gaussian codes; None writes codes.
    Raises UsageError for exact bits without `full`, and with a flow: such codes do not give the images back.
    """

    flow: Path | None = setting(
        None, "Write Gaussian codes: the noise from which this flow of fit-flow makes the codes. decode goes back.", panel=FILES
    )
    split: str = split_setting("train")
    as_is: bool = as_is_setting()
    invert: bool = invert_setting()
    full: bool = setting(False, "Write all latent dimensions, not clipped; without it, the active ones, clipped.", panel=METHOD)
    exact_bits: int = setting(
        0, "With --full: run additive couplings on a grid of 2^-K, so that decode gives every byte back; 0: as trained.", panel=METHOD
    )
    batch: int = batch_setting(256)
    device: str = device_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exact_bits and not self.full:
            raise UsageError(f"--exact-bits {self.exact_bits}: only the full latent gives images back to the bit; add --full")
        if self.exact_bits and self.flow:
            raise UsageError(f"--flow {self.flow}: a flow is inverted up to the error of its solver; leave --exact-bits out")


@dataclass(frozen=True, kw_only=True)
class DecodeSettings(Settings):
    """exact_bits: 0 is what the codes were encoded with. batch: 0 is BLOCK, and for exact codes the number that they were encoded in.

    flow: None is the flow with which Gaussian codes were encoded.
    """

    flow: Path | None = setting(None, "Flow of Gaussian codes, if its file has moved.", panel=FILES, shown="that of encode --flow")
    exact_bits: int = setting(
        0, "Give the images back to the bit, from codes of encode --full --exact-bits K.", panel=METHOD, shown="as the codes were encoded"
    )
    force: bool = force_setting("file or folder of images")
    batch: int = setting(0, "Images at a time.", panel=ADVANCED, shown="64; for exact codes, that of encode", at_least=0)
    device: str = device_setting()


@dataclass(frozen=True)
class FitGmmSettings(Settings):
    """A mixture of Gaussians with full covariances."""

    components: int = setting(10, "Number of Gaussians.", panel=METHOD, at_least=1)
    seed: int = seed_setting()
