"""Run commands with the code of an earlier commit, and keep the files that they leave. killed_runs.py and earlier_files.py use it."""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def ran(commit: str, driver: str, given: str, recipes: dict[str, str]) -> Iterator[Path]:
    """Run a program that imports the package of `commit`, and give the folder in which it ran. given: its standard input.

    recipes: file name → text, written into the folder first. Raises CalledProcessError with the program's output shown if it fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        code, work = Path(temporary, "code"), Path(temporary, "work")
        work.mkdir()
        code.mkdir()
        archive = subprocess.run(["git", "-C", str(REPOSITORY), "archive", commit, "genrev_cli"], capture_output=True, check=True)
        subprocess.run(["tar", "x", "-C", str(code)], input=archive.stdout, check=True)
        for name, text in recipes.items():
            (work / name).write_text(text)
        environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1", "GENREV_CACHE": str(Path(temporary, "cache"))}
        done = subprocess.run(
            [sys.executable, "-c", driver], input=given, capture_output=True, text=True, cwd=work, env=environment, check=False
        )
        print(f"{commit}\n{done.stdout}{done.stderr[-3000:] if done.returncode else ''}", flush=True)
        done.check_returncode()
        yield work


def pack(work: Path, target: Path, left_out: Callable[[Path, str], bool]) -> None:
    """Write the files of a folder as .tar.xz, sorted by name. left_out: path, and its name in the folder → True to leave it out."""
    with tarfile.open(target, "w:xz") as kept:
        for path in sorted(work.rglob("*")):
            name = path.relative_to(work).as_posix()
            if path.is_file() and not left_out(path, name):
                kept.add(path, name)
