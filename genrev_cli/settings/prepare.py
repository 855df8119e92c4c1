"""Settings of prepare-data."""

import math
import re
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, FILES, IMAGES, RUN, Settings, setting

CROPS = ("140", "108", "none")


@dataclass(frozen=True)
class PrepareConfig(Settings):
    """source: the name of a source of images. path: folder or archive; None means data/raw/SOURCE.

    size: '64', '48x64' (width x height), or '' to keep the source's size (64 for the CelebA crops); see `sides`.
    crop (celeba): '140' is a centre crop 140×140, Lanczos; '108' a centre crop 108×108, bicubic; 'none' the whole image.
    channels (pictures): 1 gray, 3 RGB, 0 keeps the images' channels (1 if all images are gray).
    values (arrays, pictures with more than 8 bits): see `range`. subset (idx). coarse (cifar100). unlabeled (stl10).
    val_fraction, test_fraction, split_seed (folder): a random split, used if the folder has no train/val/test folders.
    split_by, split_file, labels, label_column, class_level, no_classes, no_attributes: see docs/own-data.md.
    """

    source: str
    path: Path | None = setting(None, "Folder or archive of the raw files; default: data/raw/SOURCE.", panel=FILES)
    size: str = setting("", "Size of the result: 64, or WIDTHxHEIGHT as in 48x64. Default: the source's own; 64 for CelebA.", panel=IMAGES)
    crop: str = setting("140", "celeba: 140 (as WAE and the RevNet paper), 108 (as PGA) or none.", panel=IMAGES, choices=CROPS)
    _: KW_ONLY
    channels: int = setting(0, "Own pictures: 1 gray, 3 RGB, 0 keeps the images' own.", panel=IMAGES)
    values: str = setting(
        "", "Arrays and deep pictures: LOW,HIGH are the values of black and white, as in 0,255 or -1,1. Default: found.", panel=IMAGES
    )
    subset: str = setting("", "The set, array or column to read where there are several, as in emnist-letters.", panel=IMAGES)
    coarse: bool = setting(False, "cifar100, parquet: label with the coarse classes instead of the fine ones.", panel=IMAGES)
    unlabeled: bool = setting(False, "stl10: add the 100,000 images without labels to the train split.", panel=IMAGES)
    val_fraction: float = setting(0.1, "folder: share of the val split, if the folder has no split folders.", panel=IMAGES, at_least=0)
    test_fraction: float = setting(0.1, "folder: share of the test split, if the folder has no split folders.", panel=IMAGES, at_least=0)
    split_seed: int = setting(0, "folder: seed of the random split.", panel=ADVANCED, at_least=0)
    split_by: str = setting(
        "", "folder: folders (those named like splits) or random; default: folders if that is clear.",
        panel=IMAGES, choices=("", "folders", "random"),
    )  # fmt: skip
    split_file: Path | None = setting(None, "folder, celeba-hq: table of image names and train, val or test.", panel=FILES)
    labels: Path | None = setting(None, "folder: table of image names and classes or attributes (csv, tsv, txt, json, jsonl).", panel=FILES)
    label_column: str = setting("", "folder: the table's column with the class, if there are several.", panel=IMAGES)
    class_level: int = setting(
        0, "folder: level of the class folders below the split; 0 decides.", panel=IMAGES, at_least=0, at_most=20
    )  # fmt: skip
    no_classes: bool = setting(False, "folder: read no classes or attributes from folders and tables.", panel=IMAGES)
    no_attributes: bool = setting(False, "folder, celeba, celeba-hq: store no attributes.", panel=IMAGES)
    skip_damaged: bool = setting(False, "Leave damaged images out and list them in the header instead of stopping.", panel=IMAGES)
    download: bool = setting(False, "Download missing files of a published set.", panel=FILES)
    workers: int = setting(0, "Decoding processes; 0 is one per core.", panel=ADVANCED, at_least=0)
    dry_run: bool = setting(False, "Print splits, classes and shape; decode and write nothing.", panel=RUN)
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
    def range(self) -> tuple[float, float] | None:
        """The values in `values` that become 0 and 255; None to find them.

        Raises UsageError for anything but two increasing numbers.
        """
        if not self.values:
            return None
        try:
            low, high = (float(number) for number in self.values.split(","))
        except ValueError:
            low = high = 0.0
        if not low < high or math.isinf(high - low):
            raise UsageError(f"--values {self.values}: write the values of black and white, like 0,255 or -1,1")
        return low, high

    @property
    def dimensions(self) -> tuple[int, int] | None:
        """Width and height of the result; None to keep the source's own. One side means a square."""
        return (self.sides[0], self.sides[-1]) if self.sides else None
