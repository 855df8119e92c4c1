"""Settings of sample."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.settings.base import FILES, METHOD, Settings, setting
from genrev_cli.settings.common import batch_setting, device_setting, seed_setting
from genrev_cli.settings.sampling import Draw, SamplerFile


@dataclass(frozen=True, kw_only=True)
class SampleSettings(Settings):
    """sampler: the file of another distribution of codes than the prior. labels: the classes that images take in turn, () as they mix."""

    n: int = setting(64, "Number of images.", panel=METHOD, short="-n", at_least=1)
    sampler: SamplerFile | None = None
    grid: Path | None = setting(None, "Also write the first 64 images as one picture (.png).", panel=FILES)
    seed: int = seed_setting()
    temperature: float = setting(1.0, "Scale of the codes: below 1 more typical, less diverse.", panel=METHOD)
    labels: tuple[int, ...] = setting(
        (), "Draw only this class, or several in turn (0,3,7).", flag="--class", panel=METHOD, shown="as they mix"
    )
    batch: int = batch_setting(64)
    device: str = device_setting()

    @property
    def draw(self) -> Draw:
        """Return the settings of the draw."""
        return Draw(self.seed, self.temperature, self.labels)
