"""genrev explore"""

import threading
import webbrowser
from pathlib import Path

from genrev_cli.cli import options
from genrev_cli.cli.bars import listener
from genrev_cli.cli.console import put_out, report
from genrev_cli.cli.generate import Group, One, add_command
from genrev_cli.errors import UsageError
from genrev_cli.invocation import many_processes
from genrev_cli.result import Result
from genrev_cli.settings.explore import ExploreSettings


def _explore(ckpt: Path, data: Path | None, settings: ExploreSettings, as_json: bool) -> None:
    from genrev_cli.stages.explore import explore, record

    if many_processes():
        raise UsageError("explore: runs in one process; start it without torchrun")
    progress = listener()
    if settings.record:
        report(record(ckpt, settings.record, settings, data=data, progress=progress), as_json, command="explore")
        return

    def ready(address: str) -> None:
        if as_json:
            report(Result(None, {"address": address}), as_json=True)
        else:
            put_out(address)
        progress.note("the page is open to whoever has this address; Ctrl-C ends it")
        if settings.open:
            threading.Thread(target=show, args=(address,), daemon=True).start()  # a browser in the terminal needs the server meanwhile

    def show(address: str) -> None:
        if not webbrowser.open(address):
            progress.note("there is no browser here; open the address in one")

    explore(ckpt, settings, data=data, ready=ready, progress=progress)


add_command(
    "explore",
    "Edit photos and samples in the browser: sliders for directions and dimensions, a map of the codes, and the command for each "
    "picture.\n\n"
    "The page is served by this machine, to this machine only. It prints the page's address and ends on Ctrl-C.\n\n"
    "With --record it writes a tour instead: one HTML file to send to others, with a few images and all steps of their sliders.",
    example="genrev explore --ckpt adversarial.safetensors --directions directions.safetensors",
    parts={
        "ckpt": One("ckpt", options.Ckpt, Path("mnist")),
        "data": One("data", options.CkptData, None),
        "settings": Group(ExploreSettings),
    },
    run=_explore,
    prints=True,
)
