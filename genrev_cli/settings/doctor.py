"""Settings of doctor."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.settings.base import FILES, RUN, Settings, setting
from genrev_cli.settings.common import device_setting


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(Settings):
    """ckpt, recipe: the network that is examined, at most one of them. data: images for a recipe. minutes: for all checks together."""

    device: str = device_setting()
    ckpt: Path | None = setting(None, "Examine the network of this checkpoint (.safetensors).", panel=FILES)
    recipe: str = setting(
        "",
        "Examine the network of this built-in recipe, .toml file, or family with --data.",
        panel=FILES,
        shown="grn-celeba64 on CUDA, grn-mnist on a CPU; grn with --data",
    )
    data: Path | None = setting(None, "Prepared images (.h5) whose shape the network is built for; none are read.", panel=FILES)
    minutes: float = setting(3.0, "Time for all checks; a check that needs more than is left is skipped.", panel=RUN, above=0)
