"""Settings of info and report."""

from dataclasses import dataclass

from genrev_cli.settings.base import FILES, RUN, Settings, setting


@dataclass(frozen=True)
class InfoSettings(Settings):
    """verify: the content of a file and of its inputs is compared with their digests."""

    verify: bool = setting(False, "Read the whole file, and its inputs that still exist, and check the checksums.", panel=RUN)


@dataclass(frozen=True)
class ReportSettings(Settings):
    """title: '' names model and data."""

    title: str = setting("", "Heading of the page.", panel=FILES)
