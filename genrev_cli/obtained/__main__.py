"""What pipelines/obtained.mk asks for: python -m genrev_cli.obtained variables, pace, options or page."""

import argparse
import sys
from pathlib import Path

from genrev_cli.errors import GenrevError
from genrev_cli.obtained.table import contents, makefile_variables
from genrev_cli.settings.sizes import SIZES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m genrev_cli.obtained")
    commands = parser.add_subparsers(dest="command", required=True)
    variables = commands.add_parser("variables", help="Print the rows as assignments of make, separated by semicolons.")
    pace = commands.add_parser("pace", help="Measure a training command and plan its steps.")
    pace.add_argument("--minutes", type=float, required=True)
    pace.add_argument("--device", required=True)
    pace.add_argument("--warm-up-off", default="", help="The option that leaves out the command's warm-up.")
    pace.add_argument("--out", type=Path, required=True)
    pace.add_argument("words", nargs="+", help="The training command, after --.")
    options = commands.add_parser("options", help="Print the options of the training command that a pace plans.")
    options.add_argument("pace", type=Path)
    page = commands.add_parser("page", help="Write the page.")
    page.add_argument("--runs", type=Path, required=True)
    page.add_argument("--seeds", type=str.split, required=True)
    page.add_argument("--sources", type=str.split, required=True)
    page.add_argument("--features", type=str.split, default=[])
    page.add_argument("--minutes", type=float, required=True)
    page.add_argument("--out", type=Path, required=True)
    for sized in (variables, page):
        sized.add_argument("--size", choices=("", *SIZES), default="", help="Size of the networks; default: those of the recipes.")
    return parser


def main(words: list[str]) -> None:
    """Carry out one command. Raises GenrevError."""
    given = _parser().parse_args(words)
    if given.command == "variables":
        print(";".join(makefile_variables(contents().of_size(given.size))))
        return
    if given.command == "page":
        from genrev_cli.obtained.conditions import Scale
        from genrev_cli.obtained.page import write_page

        scale = Scale(minutes=given.minutes, size=given.size)
        write_page(given.out, given.runs, seeds=given.seeds, sources=given.sources, features=given.features, scale=scale)
        print(given.out)
        return
    from genrev_cli.obtained.pace import measure, read_pace, write_pace

    if given.command == "options":
        print(read_pace(given.pace).options)
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_pace(given.out, measure(given.words, minutes=given.minutes, warm_up_off=given.warm_up_off, device=given.device))
    print(given.out)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except GenrevError as error:
        print(f"genrev: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
