"""Four processes of one command at once; `crowds.py` runs more."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_processes_of_one_command_do_not_disturb_each_other():
    words = [
        sys.executable,
        str(Path(__file__).with_name("crowds.py")),
        "--processes",
        "4",
        "--steps",
        "5",
        "prepare-data",
        "fid",
        "fit-flow",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("4 at once, nothing went wrong") == 3
