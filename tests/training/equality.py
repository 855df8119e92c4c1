"""Measure how much the results of two processes differ from those of one, for every shared stage.

    python tests/training/equality.py 4 100

prints a table: command, largest difference of any weight after 4 and after 100 steps. '=' means equal to the bit.
"""

import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from process_cases import CHAIN, inputs, prepare
from test_processes import run_processes

from genrev_cli.cli import main
from genrev_cli.files.any import read_any_header
from genrev_cli.files.checkpoint import read_checkpoint


def difference(one: Path, two: Path) -> str:
    """Return the difference between two results of the same command."""
    if one.suffix == ".safetensors":
        (_, mine), (_, theirs) = read_checkpoint(one), read_checkpoint(two)
        return f"{max((mine[name].double() - theirs[name].double()).abs().max().item() for name in mine):.1e}"
    if one.suffix == ".json":
        mine, theirs = (json.loads(path.read_text())["value"] for path in (one, two))
        return "=" if mine == theirs else f"{abs(mine - theirs):.1e}"
    return "=" if read_any_header(one).sha256 == read_any_header(two).sha256 else "differs"


def compare(folder: Path, steps: int) -> dict[str, str]:
    """Return command → difference."""
    one, two = folder / "one", folder / "two"
    for made in (one, two):
        made.mkdir()
    prepare(one)
    commands = [*inputs(one), *(case.words(one, one, steps) for case in CHAIN.values())]
    with redirect_stdout(sys.stderr):
        assert not any(main(words) for words in commands)
    run_processes(2, [case.words(one, two, steps) for case in CHAIN.values()])
    return {case.words("", "", steps)[0] + f" ({name})": difference(one / case.out, two / case.out) for name, case in CHAIN.items()}


if __name__ == "__main__":
    tables = {}
    for steps in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as temporary:
            tables[steps] = compare(Path(temporary), int(steps))
    print("| command | " + " | ".join(f"after {steps} steps" for steps in tables) + " |\n|" + "---|" * (1 + len(tables)))
    for name in next(iter(tables.values())):
        print(f"| {name} | " + " | ".join(table[name] for table in tables.values()) + " |")
