"""Settings of sweep-bottleneck."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import FILES, METHOD, Settings, setting
from genrev_cli.settings.common import split_setting


@dataclass(frozen=True)
class SweepSettings(Settings):
    """Every recipe is trained with every number of dimensions. Raises UsageError for an empty or repeated choice.

    data: prepared images; RECIPE=FILE are those of one recipe. Raises UsageError for a recipe that has none, or two files.
    """

    data: tuple[str, ...] = setting(
        help="Prepared images (.h5) of prepare-data; RECIPE=FILE, repeated, where recipes need different ones.", panel=FILES, repeated=True
    )
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
        for recipe in self.recipes:
            self.images_of(recipe)
        for word in self.data:
            if not any(word in (str(self.images_of(recipe)), f"{recipe}={self.images_of(recipe)}") for recipe in self.recipes):
                raise UsageError(f"--data {word}: no recipe of --recipes {','.join(self.recipes)} is trained on it; write RECIPE=FILE")

    def images_of(self, recipe: str) -> Path:
        """Return the prepared images of a recipe: its own, else those of all."""
        own = [word.removeprefix(f"{recipe}=") for word in self.data if word.startswith(f"{recipe}=")]
        shared = [word for word in self.data if not any(word.startswith(f"{other}=") for other in self.recipes)]
        found = own or shared
        if len(found) != 1:
            said = f"{len(found)} files ({', '.join(found)})" if found else "none"
            raise UsageError(f"--data: has {said} for the recipe {recipe}; give one, as --data {recipe}=FILE")
        return Path(found[0])
