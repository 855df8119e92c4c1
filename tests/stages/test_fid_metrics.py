"""Metrics of two sets that `fid` computes, each compared with its own function."""

import numpy as np
import pytest
import torch
from fid_files import SHAPE, numbers

from genrev_cli.errors import FileError
from genrev_cli.metrics.features import PixelExtractor
from genrev_cli.metrics.sliced import mind


def pixel_rows(path):
    return PixelExtractor(SHAPE)(torch.from_numpy(np.load(path))).numpy()


def test_mind(sets, tmp_path):
    found = numbers(sets[0], sets[1], metrics=("mind",), seed=3)
    value, error = mind(*(pixel_rows(path) for path in sets), seed=3)
    assert (found["metric"], found["value"], found["MD-pixel_standard_error"]) == ("MD-pixel", value, error)
    assert found["mind_projections"] == 1000
    assert numbers(sets[0], sets[1], metrics=("mind",), seed=4)["value"] != value
    assert numbers(sets[0], sets[0], metrics=("fid", "mind"))["MD-pixel"] == 0
    numbers(sets[0], sets[1], save_stats=tmp_path / "a.npz")
    with pytest.raises(FileError, match="holds statistics but no images"):
        numbers(sets[0], tmp_path / "a.npz", metrics=("mind",))
