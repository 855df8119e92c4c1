"""The settings of `prepare-data`."""

from dataclasses import dataclass, fields
from pathlib import Path

from genrev_cli.errors import UsageError

CROPS = ("140", "108", "none")

USED: dict[str, tuple[str, ...]] = {
    "digits": ("size",),
    "mnist": ("path", "size", "download"),
    "cifar10": ("path", "size", "download"),
    "celeba": ("path", "size", "download", "crop"),
    "folder": ("path", "size", "channels", "val_fraction", "test_fraction", "split_seed"),
}
"""Source → the options that it uses."""
_COMMON = ("source", "skip_damaged", "workers", "limit")


@dataclass(frozen=True)
class PrepareConfig:
    """source: one of USED. path: folder or archive; None means data/raw/SOURCE.

    size: side of the result in pixels (the shorter side with crop 'none'); 0 keeps the source's size (64 for the CelebA crops).
    crop (celeba): '140' is a centre crop 140×140, Lanczos; '108' a centre crop 108×108, bicubic; 'none' the whole image.
    channels (folder): 1 gray, 3 RGB, 0 keeps the images' channels (1 if all images are gray).
    val_fraction, test_fraction, split_seed (folder): a random split, used if the folder has no train/val/test folders.
    skip_damaged: leave out and list damaged images instead of stopping. download: download missing files.
    workers: number of decoding processes; 0 is one per core. limit: use the first `limit` images only; 0 is all.
    """

    source: str
    path: Path | None = None
    size: int = 0
    crop: str = "140"
    channels: int = 0
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0
    skip_damaged: bool = False
    download: bool = False
    workers: int = 0
    limit: int = 0

    @property
    def root(self) -> Path:
        """The folder or archive of the raw files; downloads go there."""
        return self.path or Path("data", "raw", self.source)


def check(config: PrepareConfig) -> None:
    """Raise UsageError for a value out of range, or an option that the source does not use."""
    if config.source not in USED:
        raise UsageError(f"{config.source}: unknown source of images; choose one of {', '.join(USED)}")
    for field in fields(config):
        if field.name not in _COMMON + USED[config.source] and getattr(config, field.name) != field.default:
            raise UsageError(f"{_flag(field.name)} does not apply to '{config.source}'; leave it out")
    if config.crop not in CROPS:
        raise UsageError(f"--crop {config.crop}: choose one of {', '.join(CROPS)}")
    if config.channels not in (0, 1, 3):
        raise UsageError(f"--channels {config.channels}: choose 1, 3, or 0 to keep the images' channels")
    for name in ("size", "workers", "limit", "split_seed"):
        if getattr(config, name) < 0:
            raise UsageError(f"{_flag(name)} {getattr(config, name)}: must not be negative")
    if min(config.val_fraction, config.test_fraction) < 0 or config.val_fraction + config.test_fraction >= 1:
        raise UsageError("--val-fraction and --test-fraction must each be at least 0, and their sum must be below 1")
    if config.source == "folder" and config.path is None:
        raise UsageError("folder: --path is missing; pass the folder or zip of images")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
