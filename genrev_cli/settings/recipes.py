"""Settings of recipes."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.settings.base import FILES, RUN, Settings, setting
from genrev_cli.settings.common import device_setting
from genrev_cli.settings.sizes import size_setting


@dataclass(frozen=True)
class RecipesOptions(Settings):
    """Choose the recipes to list, and whether to measure them."""

    data: Path | None = setting(None, "Prepared images (.h5): list what fits them.", flag="--for", panel=FILES)
    size_of_model: str = size_setting()
    measure: bool = setting(
        True, "With --for: make a few steps of each, for about a minute in total.", flag="--measure/--no-measure", panel=RUN
    )
    device: str = device_setting()
