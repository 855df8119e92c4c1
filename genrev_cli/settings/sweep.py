"""Settings of sweep-bottleneck."""

from dataclasses import dataclass

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import METHOD, Settings, setting
from genrev_cli.settings.common import split_setting


@dataclass(frozen=True)
class SweepSettings(Settings):
    """Every recipe is trained with every number of dimensions. Raises UsageError for an empty or repeated choice."""

    recipes: tuple[str, ...] = setting(help="Models to train: recipes or families, with commas.", panel=METHOD)
    dims: tuple[int, ...] = setting(
        (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), "Numbers of latent dimensions, with commas.", panel=METHOD, at_least=1
    )
    split: str = split_setting("test")

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, chosen in (("--recipes", self.recipes), ("--dims", self.dims)):
            if not all(chosen) or not chosen or len(set(chosen)) < len(chosen):
                raise UsageError(f"{flag} {','.join(map(str, chosen))}: give at least one, and each once")
