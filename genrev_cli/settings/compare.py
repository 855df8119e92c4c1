"""Settings of compare."""

from dataclasses import dataclass, field
from pathlib import Path

from genrev_cli.settings.base import FILES, PROTOCOL, Settings, setting
from genrev_cli.settings.common import device_setting, force_setting
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import reference_split


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Settings):
    """How models are measured, as in `FidOptions`.

    data: None is what the first model was trained on. ref: '' is `data`. title: '' names how many models on which data.
    """

    data: Path | None = setting(None, "Prepared images (.h5); default: those the first checkpoint was trained on.", panel=FILES)
    ref: str = setting("", "Real images to compare with, as for fid; default: the data.", panel=FILES)
    split: str = reference_split()
    n: int = setting(2000, "Samples of each model.", panel=PROTOCOL, short="-n", at_least=2)
    metrics: tuple[str, ...] = setting(
        ("fid", "recon", "roundtrip"),
        "fid, kid, prdc, mind, is, cmmd, authpct, recon, roundtrip, bpd, with commas; rows are sorted by the first.",
        panel=PROTOCOL,
    )
    probes: tuple[Path, ...] = setting(
        (), "A result of probe for each model; repeat it for several.", flag="--probe", panel=FILES, repeated=True, shown="none"
    )
    seed: int = setting(0, "Seed of the samples, the same for all models.", panel=PROTOCOL)
    features: FeatureOptions = field(default_factory=FeatureOptions)
    device: str = device_setting()
    title: str = setting("", "Heading of the page.", panel=FILES)
    force: bool = force_setting("page or table")
