"""Settings of prepare-data."""

import re
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, IMAGES, Settings, setting

CROPS = ("140", "108", "none")


@dataclass(frozen=True)
class PrepareConfig(Settings):
    """source: the name of a source of images. path: folder or archive; None means data/raw/SOURCE.

    size: '64', '48x64' (width x height), or '' to keep the source's size (64 for the CelebA crops); see `sides`.
    crop (celeba): '140' is a centre crop 140×140, Lanczos; '108' a centre crop 108×108, bicubic; 'none' the whole image.
    channels (folder): 1 gray, 3 RGB, 0 keeps the images' channels (1 if all images are gray).
    val_fraction, test_fraction, split_seed (folder): a random split, used if the folder has no train/val/test folders.
    """

    source: str
    path: Path | None = setting(None, "Folder or archive of the raw files; default: data/raw/SOURCE.", panel=FILES)
    size: str = setting("", "Size of the result: 64, or WIDTHxHEIGHT as in 48x64. Default: the source's own; 64 for CelebA.", panel=IMAGES)
    crop: str = setting("140", "celeba: 140 (as WAE and the RevNet paper), 108 (as PGA) or none.", panel=IMAGES, choices=CROPS)
    _: KW_ONLY
    channels: int = setting(0, "folder: 1 gray, 3 RGB, 0 keeps the images' own.", panel=IMAGES)
    val_fraction: float = setting(0.1, "folder: share of the val split, if the folder has no split folders.", panel=IMAGES, at_least=0)
    test_fraction: float = setting(0.1, "folder: share of the test split, if the folder has no split folders.", panel=IMAGES, at_least=0)
    split_seed: int = setting(0, "folder: seed of the random split.", panel=ADVANCED, at_least=0)
    skip_damaged: bool = setting(False, "Leave damaged images out and list them in the header instead of stopping.", panel=IMAGES)
    download: bool = setting(False, "Download missing files (mnist, cifar10, celeba).", panel=FILES)
    workers: int = setting(0, "Decoding processes; 0 is one per core.", panel=ADVANCED, at_least=0)
    limit: int = setting(0, "Use only the first images, this many; 0 uses all.", panel=IMAGES, at_least=0)

    @property
    def root(self) -> Path:
        """The folder or archive of the raw files; downloads go there."""
        return self.path or Path("data", "raw", self.source)

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides in `size`: none, one, or width and height.

        Raises UsageError for anything else.
        """
        match = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", self.size.lower() or "0")
        sides = tuple(int(side) for side in match.groups() if side) if match else ()
        if not match or (0 in sides and sides != (0,)):
            raise UsageError(f"--size {self.size}: write one side, like 64, or width and height, like 48x64")
        return () if sides == (0,) else sides

    @property
    def dimensions(self) -> tuple[int, int] | None:
        """Width and height of the result; None to keep the source's own. One side means a square."""
        return (self.sides[0], self.sides[-1]) if self.sides else None
