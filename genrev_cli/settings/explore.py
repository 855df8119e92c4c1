"""Settings of explore."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.settings.base import ADVANCED, FILES, METHOD, RUN, Settings, setting
from genrev_cli.settings.common import device_setting, seed_setting, split_setting

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class ExploreSettings(Settings):
    """directions, ot: files of fit-directions and fit-ot, None for none. port: 0 takes a free one. points: of the map. dims: sliders."""

    directions: Path | None = setting(None, "Directions (.safetensors) of fit-directions: a slider for each.", panel=FILES)
    ot: Path | None = setting(None, "Transport map of fit-ot: paths can follow it.", panel=FILES)
    split: str = split_setting("test")
    points: int = setting(2000, "Number of codes on the map.", panel=METHOD, at_least=3, at_most=20000)
    dims: int = setting(8, "Number of active dimensions with a slider, the widest first.", panel=METHOD, at_least=0, at_most=64)
    host: str = setting(
        LOOPBACK, "Address to listen at. Any other one than this lets other machines in, without encryption.", panel=ADVANCED
    )
    port: int = setting(0, "Port to listen at.", panel=RUN, shown="a free one", at_least=0, at_most=65535)
    open: bool = setting(True, "Open the page in a browser.", flag="--open/--no-open", panel=RUN)
    seed: int = seed_setting()
    device: str = device_setting()
