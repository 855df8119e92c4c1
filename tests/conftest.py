import os

import numpy as np
import pytest
import torch

from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.files.images import SPLITS
from genrev_cli.latents import transport_maps
from genrev_cli.progress import SILENT
from genrev_cli.runs.adversarial import train_adversarial
from genrev_cli.runs.train import train
from genrev_cli.settings.perceptual import TRAIN_PGA
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.transport import TRAIN_OT
from genrev_cli.settings.variational import TRAIN_VAE
from genrev_cli.stages import fit_ot
from genrev_cli.training.devices import resolve_device

torch.set_num_threads(1)  # tiny tensors: threads only cost

RUN = RunOptions(device="cpu", log_every=1)

RECIPE = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 8, kernel = 3 }]

[prior]
name = "active-gaussian"
dim = 4

[pretrain-recon]
lr = 1e-3
batch = 8
steps = 10

[train-adversarial]
lr = 1e-3
prior_samples = 24
hidden = [8, 8]
batch = 4
steps = 10
"""

TRANSPORT_RECIPE = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 8, kernel = 3 }]

[prior]
name = "class-gaussians"
classes = 1

[train-ot]
batch = 8
steps = 10
"""

STRIDED_RECIPE = """
[model]
name = "strided"
channels = [4]
dense = 8
norm = "inner"
variational = true

[prior]
name = "active-gaussian"
dim = 3
bound = 0.0
choose = "first"

[train-pga]
variant = "lvpga"
weight_noise = 0.1
weight_kl = 0.1
warm_up = 3
batch = 8
steps = 10

[train-vae]
variant = "wae-gan"
hidden = 8
batch = 8
steps = 10
"""


@pytest.fixture(autouse=True, scope="session")
def quick_disk():
    """Files do not wait until they are on the disk, which only a power cut could show. Processes that tests start still wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # also refuses what is no open file
        yield


@pytest.fixture
def write_images():
    """(path, shape, counts, seed) → a prepared set of random images at that path."""

    def write(path, shape=(1, 8, 8), counts=(22, 5, 3), seed=0, source="digits"):
        rng, n = np.random.default_rng(seed), sum(counts)
        config = {"source": {"name": source}, "image_shape": list(shape), "counts": dict(zip(SPLITS, counts, strict=True))}
        arrays = {
            "images": rng.integers(0, 256, (n, *shape), np.uint8),
            "labels": rng.integers(0, 10, n),
            "split": rng.permutation(np.repeat(np.arange(3, dtype=np.uint8), counts)),
        }
        with hdf5.writing(path, Header("data", config, "")) as writer:
            for name, array in arrays.items():
                writer.create(name, array.shape, str(array.dtype))
                writer.write(name, 0, array)
        return path

    return write


@pytest.fixture
def data(tmp_path, write_images):
    """A prepared set of 8×8 gray images: 22 for training, 5 for validation, 3 for testing."""
    return write_images(tmp_path / "data.h5")


@pytest.fixture
def recipe(tmp_path):
    """The path of a recipe for a network that trains in milliseconds."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module")
def coarse_maps():
    """fit-ot looks at fewer samples of the maps that it makes, where maps are of few codes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport_maps, "ANGLES", 2000)
        patch.setattr(transport_maps, "LEAST_CENTRES", 20_000)
        patch.setattr(fit_ot, "LEAST_JUDGES", 20_000)
        yield


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]),
    ]
)
def device(request):
    """Every device that there is, computing as commands do by default."""
    return resolve_device(request.param)


@pytest.fixture
def recon(data, recipe):
    """(out, **settings) → one call of pretrain-recon."""

    def run(out, *, run=RUN, progress=SILENT, data=data, recipe=recipe, **settings):
        return train(PRETRAIN_RECON, data, out, recipe=recipe, overrides={"pretrain-recon": settings}, run=run, progress=progress)

    return run


@pytest.fixture
def adversarial(tmp_path, recon):
    """(out, **settings) → one call of train-adversarial on a network that was pretrained for two steps."""
    ckpt = recon(tmp_path / "start.safetensors", steps=2).out

    def run(out, *, run=RUN, progress=SILENT, ckpt=ckpt, data=None, recipe="", **settings):
        overrides = {"train-adversarial": settings}
        return train_adversarial(ckpt, out, data=data, recipe=recipe, overrides=overrides, run=run, progress=progress)

    return run


@pytest.fixture
def matching(adversarial):
    """(out, **settings) → one call of train-adversarial with a distance in the adversary's place."""
    return lambda out, **settings: adversarial(out, matcher="sliced", **settings)


@pytest.fixture
def transport(tmp_path, data):
    """(out, **settings) → one call of train-ot, with one Gaussian for all images."""
    own = tmp_path / "transport" / "tiny.toml"
    own.parent.mkdir()
    own.write_text(TRANSPORT_RECIPE)

    def run(out, *, run=RUN, progress=SILENT, data=data, recipe=str(own), **settings):
        return train(TRAIN_OT, data, out, recipe=recipe, overrides={"train-ot": settings}, run=run, progress=progress)

    return run


@pytest.fixture
def strided(tmp_path, data):
    """(a trainer) → (out, **settings) → one call of it on a small network with scales of codes."""
    own = tmp_path / "strided" / "tiny.toml"
    own.parent.mkdir()
    own.write_text(STRIDED_RECIPE)

    def of(trainer):
        def call(out, *, run=RUN, progress=SILENT, data=data, recipe=str(own), **settings):
            return train(trainer, data, out, recipe=recipe, overrides={trainer.name: settings}, run=run, progress=progress)

        return call

    return of


@pytest.fixture
def perceptual(strided):
    """(out, **settings) → one call of train-pga."""
    return strided(TRAIN_PGA)


@pytest.fixture
def variational(strided):
    """(out, **settings) → one call of train-vae."""
    return strided(TRAIN_VAE)


@pytest.fixture(params=["recon", "adversarial", "matching", "transport", "perceptual", "variational"])
def stage(request):
    """Every training stage."""
    return request.getfixturevalue(request.param)
