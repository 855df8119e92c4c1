"""Waiting threads give their cores to other programs: the setting that OpenMP reads when torch is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import genrev_cli
from genrev_cli.cli import _share_cores

ROOT = Path(genrev_cli.__file__).parents[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"GOMP_SPINCOUNT": "20000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_what_the_user_sets_stays(before, after):
    environment = dict(before)
    _share_cores(environment)
    assert environment == after


@pytest.mark.skipif(sys.platform != "linux", reason="torch has GNU's OpenMP on Linux only")
def test_openmp_reads_it(tmp_path):
    """OpenMP itself says what it took, so torch was not loaded before."""
    free = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = {**free, "OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "genrev_cli", "sample", "--ckpt", "mnist", "-n", "1", "--out", tmp_path / "s.npz", "--device", "cpu"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert "GOMP_SPINCOUNT = '20000'" in done.stderr
