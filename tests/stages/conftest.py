import numpy as np
import pytest
from fid_files import SHAPE, Notes, npy

from genrev_cli.files.checkpoint import tensors_digest, write_checkpoint
from genrev_cli.files.header import Header
from genrev_cli.models.classifier import Classifier
from genrev_cli.store.checkpoints import prefixed


@pytest.fixture
def notes():
    """Keeps what a stage notes."""
    return Notes()


@pytest.fixture
def sets(tmp_path):
    """Two sets of 40 and 50 images as .npy."""
    rng = np.random.default_rng(0)
    return [npy(tmp_path / f"{name}.npy", rng.integers(0, 256, (n, *SHAPE), np.uint8)) for name, n in (("a", 40), ("b", 50))]


@pytest.fixture
def model(recon, tmp_path):
    """A checkpoint of a network that was trained for two steps on `data`."""
    return recon(tmp_path / "model.safetensors", steps=2).out


@pytest.fixture
def learnable(tmp_path, write_images):
    """Images whose label is written on them: class k has a bright row k."""
    from dataclasses import replace

    import h5py

    from genrev_cli.files.hdf5 import read_digest, read_header

    path = write_images(tmp_path / "learnable.h5", counts=(300, 100, 100))
    with h5py.File(path, "r+") as file:
        labels = file["labels"][:] % 8
        images = file["images"][:] // 4
        images[range(len(labels)), 0, labels] = 255
        file["labels"][...], file["images"][...] = labels, images
    header = replace(read_header(path), sha256=read_digest(path))  # what is edited and keeps its header is refused
    with h5py.File(path, "r+") as file:
        file.attrs["genrev"] = header.to_json()
    return path


@pytest.fixture
def classifier(tmp_path):
    """Return a classifier of 8×8 gray images and its file."""
    network, path = Classifier((1, 8, 8), classes=3, width=4, dims=6), tmp_path / "c.safetensors"
    tensors = prefixed("classifier", network)
    write_checkpoint(path, tensors, Header("classifier", {"classifier": network.config}, tensors_digest(tensors)))
    return network, path
