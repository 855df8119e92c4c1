"""Import every command, which registers it."""

from genrev_cli.cli import (
    app,
    bench,
    compare,
    decode,
    demo,
    doctor,
    edit,
    encode,
    explore,
    fid,
    fid_ref,
    figures,
    fit_directions,
    fit_flow,
    fit_gmm,
    fit_ot,
    info,
    prepare_data,
    probe,
    recipes,
    sample,
    search,
    sweep_bottleneck,
    train,
)
from genrev_cli.settings.commands import all_commands
from genrev_cli.settings.trainers import TRAINERS


def arrange() -> None:
    """Add the commands of trainers that have none yet, and sort all commands into the order of the help."""
    known = {command.name for command in app.registered_commands}
    for trainer in TRAINERS.values():
        if trainer.name not in known:
            train.add_trainer(trainer)
    order = list(all_commands())
    app.registered_commands.sort(key=lambda command: order.index(command.name or ""))


__all__ = [
    "arrange",
    "bench",
    "compare",
    "decode",
    "demo",
    "doctor",
    "edit",
    "encode",
    "explore",
    "fid",
    "fid_ref",
    "figures",
    "fit_directions",
    "fit_flow",
    "fit_gmm",
    "fit_ot",
    "info",
    "prepare_data",
    "probe",
    "recipes",
    "sample",
    "search",
    "sweep_bottleneck",
    "train",
]
