"""genrev demo"""

import shlex
import webbrowser
from contextvars import copy_context
from pathlib import Path
from typing import Annotated

import typer

from genrev_cli import cli
from genrev_cli.cli.bars import listener
from genrev_cli.cli.console import quiet
from genrev_cli.cli.generate import Group, One, add_command
from genrev_cli.errors import UsageError
from genrev_cli.invocation import many_processes
from genrev_cli.progress import Progress
from genrev_cli.result import Result
from genrev_cli.settings.demo import PAGE, DemoSettings, Step, chain


def _demo(folder: Path, settings: DemoSettings) -> Result:
    if many_processes():
        raise UsageError("demo: runs in one process; start it without torchrun")
    steps, page, progress = list(chain(folder, settings.device)), folder / PAGE, listener()
    if all(step.done() for step in steps):
        progress.note(f"{page} is complete; nothing to do")
    else:
        _go_on(steps, folder, progress)
    if settings.open and not webbrowser.open(page.resolve().as_uri()):
        progress.note(f"there is no browser here; open {page} in one")
    elif not settings.open:
        progress.note(f"open {page} in a browser")
    progress.note(f"next: genrev explore --ckpt {folder / 'adversarial.safetensors'} --directions {folder / 'directions.safetensors'}")
    return Result(page)


def _go_on(steps: list[Step], folder: Path, progress: Progress) -> None:
    """Run all commands whose files are missing or old. Raises typer.Exit with the code of one that fails."""
    from genrev_cli.runs.chain_lock import chain_lock

    with chain_lock(folder):
        for number, step in enumerate(steps, 1):
            if step.done():
                continue
            progress.note(f"demo, {number} of {len(steps)}: genrev {shlex.join(step.words)}")
            if code := copy_context().run(_carried_out, step):
                progress.note(f"demo: stopped at step {number} of {len(steps)}; the same command goes on from there")
                raise typer.Exit(code)


def _carried_out(step: Step) -> int:
    """Run one command of the chain in this process, without printing its result, and return its exit code."""
    quiet.set(True)
    return cli.main(step.words)


add_command(
    "demo",
    "Run a whole chain on built-in MNIST digits, from images to a page of samples, edits and scores: some minutes on two CPU cores.\n\n"
    "It trains the model that comes with genrev a little further. "
    "Run the same command again to go on after an interruption. What it makes can be used with every other command.",
    example="genrev demo --open",
    parts={
        "folder": One("folder", Annotated[Path, typer.Argument(help="Folder to write.")], Path("demo")),
        "settings": Group(DemoSettings),
    },
    run=_demo,
)
