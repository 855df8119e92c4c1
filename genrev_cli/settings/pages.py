"""Settings of info, report and card."""

from dataclasses import dataclass
from pathlib import Path

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import FILES, METHOD, RUN, Settings, setting
from genrev_cli.settings.common import device_setting, force_setting, scale_setting, seed_setting
from genrev_cli.settings.sampling import SamplerFile


@dataclass(frozen=True, kw_only=True)
class InfoSettings(Settings):
    """verify: the content of a file and of its inputs is compared with their digests.

    strip: write `out`, a copy without paths of this machine; half, scores: change the copy of a checkpoint. Raises UsageError for one of
    strip and out without the other, and for the others without strip.
    """

    verify: bool = setting(False, "Read the whole file, and its inputs that still exist, and check the checksums.", panel=RUN)
    strip: bool = setting(False, "Write a copy whose header has no path of this machine; --out names it.", panel=FILES)
    out: Path | None = setting(None, "Where --strip writes the copy.", panel=FILES)
    half: bool = setting(
        False, "--strip: round the weights of a checkpoint to 16 bits, for half the size. Its inverse stays exact.", panel=FILES
    )
    scores: tuple[Path, ...] = setting(
        (), "--strip: keep this score of fid in the header of a checkpoint; repeat it for several.", flag="--score", panel=FILES,
        repeated=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strip and self.out is None:
            raise UsageError("--strip: writes a copy, and needs its name; pass --out COPY")
        if self.out is not None and not self.strip:
            raise UsageError(f"--out {self.out}: has a meaning only with --strip; add it, or leave --out out")
        if (self.half or self.scores) and not self.strip:
            given = "--half" if self.half else f"--score {self.scores[0]}"
            raise UsageError(f"{given}: has a meaning only with --strip --out COPY; add them, or leave it out")


@dataclass(frozen=True)
class ReportSettings(Settings):
    """title: '' names model and data."""

    title: str = setting("", "Heading of the page.", panel=FILES)
    force: bool = force_setting("page")


@dataclass(frozen=True, kw_only=True)
class CardSettings(Settings):
    """scores: results of fid beside those in the folder of the checkpoint. sampler: the file of another distribution than the prior."""

    data: Path | None = setting(
        None, "Prepared images (.h5) for reconstructions; default: those the checkpoint was trained on.", panel=FILES
    )
    scores: tuple[Path, ...] = setting(
        (), "A score of fid; repeat it for several.", flag="--score", panel=FILES, repeated=True, shown="those beside the checkpoint"
    )
    sampler: SamplerFile | None = None
    title: str = setting("", "Heading of the card.", panel=FILES)
    columns: int = setting(8, "Images in the picture of reconstructions.", panel=METHOD, at_least=1)
    scale: int = scale_setting()
    force: bool = setting(False, "Replace a card that was edited, or is of another checkpoint.", panel=FILES)
    seed: int = seed_setting()
    device: str = device_setting()
