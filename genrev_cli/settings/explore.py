"""Settings of explore."""

from dataclasses import dataclass, fields
from pathlib import Path

from genrev_cli.errors import SettingError, UsageError
from genrev_cli.settings.base import ADVANCED, FILES, METHOD, RUN, Settings, flag_of, setting, spec_of
from genrev_cli.settings.common import device_setting, force_setting, invert_setting, seed_setting, split_setting

LOOPBACK = "127.0.0.1"
SERVED, RECORDED = ("points", "invert", "host", "port", "open"), ("images", "steps", "force")
"""Settings that have a meaning only without a record, and only with one."""


@dataclass(frozen=True, kw_only=True)
class ExploreSettings(Settings):
    """directions, ot, flow: files of fit-directions, fit-ot and fit-flow, None for none. port: 0 takes a free one. points: of the map.

    dims: number of sliders. record: the page of a tour, with this many images, and steps of each slider; None serves the live page.
    Raises UsageError for settings of the one with the other, for a map and a flow, and for an even number of steps, which has none in the
    middle.
    """

    directions: Path | None = setting(None, "Directions (.safetensors) of fit-directions: a slider for each.", panel=FILES)
    ot: Path | None = setting(None, "Transport map of fit-ot: paths can follow it.", panel=FILES)
    flow: Path | None = setting(None, "Flow of fit-flow: samples are drawn from it, and paths can follow it.", panel=FILES)
    record: Path | None = setting(
        None, "Write a tour of the model to this file (.html), a page to send to others, instead of serving the live one.", panel=FILES
    )
    split: str = split_setting("test")
    invert: bool = invert_setting()
    points: int = setting(2000, "Number of codes on the map.", panel=METHOD, at_least=3, at_most=20000)
    dims: int = setting(8, "Number of active dimensions with a slider, the widest first.", panel=METHOD, at_least=0, at_most=64)
    images: int = setting(6, "--record: number of images.", panel=METHOD, at_least=1, at_most=24)
    steps: int = setting(13, "--record: steps of each slider, an odd number.", panel=METHOD, at_least=3, at_most=41)
    force: bool = force_setting("recorded tour")
    host: str = setting(
        LOOPBACK, "Address to listen at. Any other one than this lets other machines in, without encryption.", panel=ADVANCED
    )
    port: int = setting(0, "Port to listen at.", panel=RUN, shown="a free one", at_least=0, at_most=65535)
    open: bool = setting(True, "Open the page in a browser.", flag="--open/--no-open", panel=RUN)
    seed: int = seed_setting()
    device: str = device_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps % 2 == 0:
            raise SettingError("steps", self.steps, "must be odd, so that the middle changes nothing", flag="--steps")
        if self.ot and self.flow:
            raise UsageError(f"--ot {self.ot} and --flow {self.flow}: both say what samples are drawn from; leave one of them out")
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default or field.name not in (SERVED if self.record else RECORDED):
                continue
            flag, _, off = (spec_of(field).flag or flag_of(field.name, spec_of(field))).partition("/")
            given = (flag if value else off) if isinstance(value, bool) else f"{flag} {value}"
            if self.record:
                raise UsageError(f"{given}: has no meaning with --record, which serves no page; leave one of them out")
            raise UsageError(f"{given}: has a meaning only with --record FILE.html; add it, or leave {flag} out")
