"""genrev sweep-bottleneck"""

from pathlib import Path
from typing import Any

from genrev_cli.cli.bars import listener
from genrev_cli.cli.generate import Group, ScheduleOverrides, add_command, out_option
from genrev_cli.result import Result
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.sweep import SweepSettings


def _sweep_bottleneck(*, out: Path, settings: SweepSettings, schedule: dict[str, Any], run: RunOptions) -> Result:
    from genrev_cli.stages.sweep import sweep_bottleneck

    return sweep_bottleneck(out, settings, schedule=schedule, run=run, progress=listener())


add_command(
    "sweep-bottleneck",
    "Train several models with several numbers of latent dimensions each, and plot how well they reconstruct.\n\n"
    "Run it again after an interruption: finished points are kept, and an unfinished one goes on.",
    example="genrev sweep-bottleneck --data data/mnist.h5 --recipes inn-mnist,classic-mnist --dims 2,12,32,64 --out sweep/",
    parts={
        "out": out_option(Path("sweep"), "Folder for checkpoints, scores, table and plots."),
        "settings": Group(SweepSettings),
        "schedule": ScheduleOverrides(),
        "run": Group(RunOptions),
    },
    run=_sweep_bottleneck,
)
