"""Memory over some hundred steps; `make soak` runs thousands."""

import sys

import pytest
from soak import watch
from torture import Means, prepare, started

from genrev_cli.cli import main

STEPS = 240


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_memory_is_constant(tmp_path):
    start = tmp_path / "start"
    start.mkdir()
    prepare(start, STEPS, Means(started), ())
    assert main(["prepare-data", "digits", "--out", str(start / "data.h5")]) == 0
    found = watch("pretrain-recon", start, STEPS, "streamed")
    early, late = found.around(STEPS / 4, STEPS / 2), found.around(STEPS * 3 / 4, STEPS)
    assert late - early < 5
    assert found.files == 3 + 2 * STEPS // 20  # checkpoint, state and log, and two pictures
