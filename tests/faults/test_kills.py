"""Two random kills of a training run; `make torture` runs many."""

import pytest
from torture import Means, prepare, started, torture

from genrev_cli.cli import main


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture") / "start"
    folder.mkdir()
    prepare(folder, 30, Means(started), lines=())
    assert main(["prepare-data", "digits", "--out", str(folder / "data.h5")]) == 0
    return folder


@pytest.mark.slow
def test_a_killed_run_loses_nothing(start):
    outcome = torture("pretrain-recon", start, steps=30, kills=2, seed=0, means=Means(started))
    assert outcome.losses == []
    assert outcome.kills.total() == 2
    assert outcome.runs >= 1
