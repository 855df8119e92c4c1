"""A small file does not buy minutes: building ends when the header describes more weights than the file has."""

import time
from dataclasses import replace

import pytest
import torch

from genrev_cli.errors import FileError
from genrev_cli.files.checkpoint import read_checkpoint, write_checkpoint
from genrev_cli.store.checkpoints import load_checkpoint

NETWORKS = {
    "revnet": {"name": "revnet", "image_shape": [1, 16, 16], "scales": [{"blocks": 1000, "hidden": 1}] * 4},
    "dense": {"name": "dense", "image_shape": [1, 8, 8], "latent_dim": 64, "hidden": [1] * 200_000},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_header_that_describes_more_than_the_file_has(model, tmp_path, name):
    header, tensors = read_checkpoint(model)
    path = tmp_path / "small.safetensors"
    write_checkpoint(path, tensors, replace(header, config={**header.config, "model": NETWORKS[name]}))
    began = time.process_time()
    with pytest.raises(FileError, match="describes more weights than the .* tensors that the file has"):
        load_checkpoint(path, torch.device("cpu"))
    assert time.process_time() - began < 5
