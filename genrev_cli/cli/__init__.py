"""The app and its entry point. Its import must stay fast: torch is imported only when a command runs."""

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from genrev_cli import __version__
from genrev_cli.cli.console import close_streams, error_line, open_streams, put_out, traceback_lines
from genrev_cli.cli.leaving import leave
from genrev_cli.cli.mistakes import missing_option, unknown_option
from genrev_cli.cli.termination import explain_termination
from genrev_cli.errors import FileError, GenrevError, LostProcessError, UnreadError, lacks_memory
from genrev_cli.invocation import command_line, debugging, first_process, many_processes, process_began
from genrev_cli.memory import has_room
from genrev_cli.plugins import FLAG, fault, load_asked
from genrev_cli.settings.base import ADVANCED, listed

_GENERAL = "With any command"
"""Panel of the options that go with any command."""


class Root(TyperGroup):
    """genrev without a command. The help leaves out Typer's options for completion, so that the commands are seen first."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options. --help takes no value, and the help shows none."""
        found: list[Any] = super().get_params(ctx)
        for parameter in found:
            if parameter.name in ("install_completion", "show_completion"):
                parameter.hidden = True
            if parameter.name == "help":
                parameter.metavar, parameter.rich_help_panel = "", _GENERAL
        return found


class Subcommand(TyperCommand):
    """A command. Its own --help stands in the last panel of the help, so that the files are seen first."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options in the order of the help."""
        found: list[Any] = super().get_params(ctx)
        for parameter in found:
            if parameter.name == "help":
                parameter.metavar, parameter.rich_help_panel = "", ADVANCED
        return found


app = typer.Typer(
    name="genrev",
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


PEER_MINUTES = 10.0
"""Default of --peer-timeout, in minutes."""

_LITTLE = 64 << 20
"""Bytes of address space. An error that nobody expects is taken for a lack of memory where ulimit -v leaves less."""

MOST_SECONDS = 7 * 24 * 3600.0
"""Maximum of --peer-timeout, in seconds."""


def _version(asked: bool) -> None:
    if asked:
        put_out(__version__)
        raise typer.Exit


_ABOUT = """Generative autoencoders whose inverse is exact: train, encode, sample, edit and score, one command per stage.

'genrev help COMMAND' explains a command. 'genrev --install-completion' lets your shell complete commands, options and values."""
"""The first lines of --help. Not a docstring: Python removes those with PYTHONOPTIMIZE=2."""


@app.callback(help=_ABOUT)
def root(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_version, is_eager=True, metavar="", help="Print the version.", rich_help_panel=_GENERAL),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", metavar="", help="Show the traceback of an error.", rich_help_panel=_GENERAL)] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            "--plugin",
            metavar="FILE",
            help="Python file with networks, methods, sources or metrics.",
            rich_help_panel=_GENERAL,
        ),
    ] = None,
    peer_timeout: Annotated[
        float,
        typer.Option(
            "--peer-timeout",
            metavar="MINUTES",
            help="Under torchrun: end a process that has waited this long for another.",
            rich_help_panel=_GENERAL,
        ),
    ] = PEER_MINUTES,
) -> None:
    """Take the options that stand before any command."""


_interrupts: list[int] = []
"""Every SIGINT that arrived."""


def _interrupt(number: int, frame: object) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


def entry() -> NoReturn:
    """Run as the console script, and end the process (see `leave`)."""
    try:
        run()
    except SystemExit as ended:
        leave(int(ended.code or 0))


def run() -> NoReturn:
    """Run the words of the command line and raise SystemExit.

    Ctrl-C is remembered, because a library that is loading at that time raises another error for it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # SIGINT stays ignored where it is, as under nohup
        signal.signal(signal.SIGINT, _interrupt)
    process_began.set(time.monotonic())
    _share_cores(os.environ)
    open_streams()
    if many_processes():
        explain_termination(error_line)
    code = close_streams(main())
    if code == LostProcessError.exit_code:
        os._exit(code)  # NCCL may wait for the lost process when it shuts down
    sys.exit(code)


def _share_cores(environment: MutableMapping[str, str]) -> None:
    """Let waiting threads sleep after 20,000 turns of a loop; GNU's OpenMP has 300,000. torch reads it when it is loaded.

    On cores that are shared with other programs this is much faster, on free ones as fast (docs/results.md).
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", "20000")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 for success, 1 for a bug of ours, else the error's own (see genrev_cli.errors)."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    debugging.set(debug)
    try:
        _require_folder()
        peer_seconds = _take_peer_seconds(words)
        command_line.set(tuple(words))
        words = _helped(load_asked(words))
        from genrev_cli.cli import commands

        commands.arrange()
        code = _run(words, peer_seconds)
        return code if isinstance(code, int) else 0
    except SystemExit as ended:  # raised by Typer; rich exits with 1 when the reader of a help has gone
        return UnreadError.exit_code if ended.code == 1 else int(ended.code or 0)
    except (Exception, KeyboardInterrupt) as error:
        try:
            return _told(error, debug=debug)
        except MemoryError:  # not even for a sentence
            with suppress(OSError):
                os.write(2, b"genrev: error: there is not enough memory\n")
            return 5


def _told(error: BaseException, *, debug: bool) -> int:
    """Say what went wrong, and return the exit code."""
    if debug:
        traceback_lines("".join(traceback.format_exception(error)))
    code, sentence = _explain(error)
    if not first_process() and isinstance(error, typer.TyperException | KeyboardInterrupt):
        return code  # every process has this error; rank 0 reports it
    error_line(" ".join(filter(None, map(str.strip, sentence.splitlines()))))  # on one line, even if a library's message has more
    return code


def _require_folder() -> None:
    """Raise FileError if the current folder has been deleted: some libraries would end the process with messages of their own."""
    try:
        os.getcwd()
    except OSError as error:
        raise FileError(f"the current folder cannot be read ({error.strerror}); change to another one") from error


def _helped(words: list[str]) -> list[str]:
    """Return the words of `genrev help` and `genrev help COMMAND` as `genrev [COMMAND] --help`; others unchanged."""
    return [*words[1:2], "--help"] if words[:1] == ["help"] else words


def _take_peer_seconds(words: list[str]) -> float:
    """Remove --peer-timeout from the words and return it in seconds. Raises BadParameter for a value that is not a time."""
    minutes = str(PEER_MINUTES)
    while place := next((i for i, word in enumerate(words, 1) if word.partition("=")[0] == "--peer-timeout"), 0):
        _, given, minutes = words.pop(place - 1).partition("=")
        if not given:
            minutes = words.pop(place - 1) if place <= len(words) else ""
    try:
        seconds = 60 * float(minutes)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < MOST_SECONDS:
        raise typer.BadParameter(f"--peer-timeout {minutes}: a number of minutes above 0 is needed, {MOST_SECONDS / 60:g} at most")
    return seconds


_parsers: dict[tuple[int, ...], Any] = {}
"""Registered commands → their parser. It takes Typer 20 ms to build one, and a process may run many commands."""


def _parsed(words: list[str]) -> object:
    """Parse the words and run the command that they name."""
    commands = tuple(map(id, app.registered_commands))  # a plugin adds commands
    if commands not in _parsers:
        _parsers[commands] = get_command(app)
    return _parsers[commands](words, prog_name="genrev", standalone_mode=False)


def _run(words: list[str], peer_seconds: float) -> object:
    """Run one command, alone or with the other processes that torchrun started."""
    if not many_processes():
        return _parsed(words)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # our error for a lost process says more than torch's warnings
    from genrev_cli.runs.processes import run_among

    return run_among(words, lambda: _parsed(words), patience=peer_seconds, tell=error_line)


def _lacking(said: str) -> str:
    """Return a sentence for an error of torch or the system that means too little memory."""
    if "linear algebra" in said:
        return said
    if "new thread" in said:
        return "no thread can be started: there is not enough memory, or as many processes as allowed (ulimit -u)"
    asked = re.search(r"allocate ([\d.]+ \w+)", said)
    more = f" ({asked[1]} more were needed)" if asked else ""
    gpu = re.search(r"GPU (\d+) has a total capacity of ([\d.]+ \w+)", said)
    where = f" on GPU {gpu[1]}, which has {gpu[2]}" if gpu else ""
    who = f"process {os.environ.get('RANK')} of {os.environ.get('WORLD_SIZE')}: " if many_processes() else ""
    return f"{who}there is not enough memory{where}{more}: make --batch smaller where there is one, or free some"


def _mistake(message: str) -> str:
    """Return Typer's message: a wrong choice in the words of all other errors, and an unknown command with a cure for plugins."""
    if message.startswith("No such command"):
        return f"{message} If a plugin defines it, pass {FLAG} FILE."
    choice = re.fullmatch(r"Invalid value for '(--[\w-]+)[^:]*: (?:Value error, )?'(.*)' is not one of (.+?)\.?", message)
    if not choice:
        return message
    words = tuple(word for word in re.findall(r"'([^']*)'", choice[3]) if word)
    return f"{choice[1]} {choice[2]}: choose {listed(words)}"


def _explain(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the sentence for an error that a command raised."""
    if lacks_memory(error):
        return 5, _lacking(str(error))
    if isinstance(error, GenrevError):
        return error.exit_code, str(error)
    if isinstance(error, typer.TyperException):  # a mistake on the command line
        return 2, unknown_option(error) or missing_option(error) or _mistake(error.format_message())
    if isinstance(error, KeyboardInterrupt | typer.Abort) or (isinstance(error, ImportError) and _interrupts):
        return 130, "interrupted"
    if isinstance(error, OSError):
        named = isinstance(error.filename, str | bytes) and error.strerror
        return 3, f"{os.fsdecode(error.filename)}: {error.strerror}" if named else str(error)
    said = f"{type(error).__name__}: {error} (run again with --debug for the traceback"
    if where := fault(error):
        return 3, f"an error in the plugin {where}: {said})"
    if not has_room(_LITTLE):  # libraries say many things then, such as 'SystemError: error return without exception set'
        return 5, _lacking("")
    return 1, f"a bug of genrev's: {said}, and report it)"
