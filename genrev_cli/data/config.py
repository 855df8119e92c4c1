"""The settings of `prepare-data`."""

from dataclasses import dataclass, fields
from pathlib import Path

from genrev_cli.errors import UsageError

CROPS = ("140", "108", "none")

_OPTIONS = {
    "digits": ("size",),
    "mnist": ("path", "size", "download"),
    "cifar10": ("path", "size", "download"),
    "celeba": ("path", "size", "download", "crop"),
    "folder": ("path", "size", "channels", "val_fraction", "test_fraction", "split_seed"),
}
_COMMON = ("source", "skip_damaged", "workers", "limit")

SOURCES = tuple(_OPTIONS)


@dataclass(frozen=True)
class PrepareConfig:
    """source: one of SOURCES. path: folder or archive; without one, data/raw/SOURCE.

    size: pixels of the result's side (its shorter side with crop 'none'); 0 keeps the source's own (64 for the CelebA crops).
    crop (celeba): '140' centre crop 140×140, Lanczos; '108' centre crop 108×108, bicubic; 'none' the whole image.
    channels (folder): 1 gray, 3 RGB, 0 as the images are (1 when all are gray).
    val_fraction, test_fraction, split_seed (folder): a random split, used where the folder has no train/val/test of its own.
    skip_damaged: leave damaged images out and list them, rather than stop. download: fetch what is missing.
    workers: decoding processes, 0 for one per core. limit: the first n images only, 0 for all.
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
        """Where the raw files are, or are downloaded to."""
        return self.path or Path("data", "raw", self.source)


def check(config: PrepareConfig) -> None:
    """Raise UsageError for a value out of range, or an option that the source has no use for."""
    if config.source not in SOURCES:
        raise UsageError(f"{config.source}: no such source of images; choose one of {', '.join(SOURCES)}")
    for field in fields(config):
        if field.name not in _COMMON + _OPTIONS[config.source] and getattr(config, field.name) != field.default:
            raise UsageError(f"{_flag(field.name)} has no meaning for '{config.source}'; leave it out")
    if config.crop not in CROPS:
        raise UsageError(f"--crop {config.crop}: choose one of {', '.join(CROPS)}")
    if config.channels not in (0, 1, 3):
        raise UsageError(f"--channels {config.channels}: choose 1, 3, or 0 to keep what the images have")
    for name in ("size", "workers", "limit", "split_seed"):
        if getattr(config, name) < 0:
            raise UsageError(f"{_flag(name)} {getattr(config, name)}: must not be negative")
    if min(config.val_fraction, config.test_fraction) < 0 or config.val_fraction + config.test_fraction >= 1:
        raise UsageError("--val-fraction and --test-fraction must be at least 0 and leave something to train on: their sum must be below 1")
    if config.source == "folder" and config.path is None:
        raise UsageError("folder: its path is missing; say which folder or zip of images to read")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
