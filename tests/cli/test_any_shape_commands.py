"""Commands on images that are not square, or have odd sides."""

from math import prod
from pathlib import Path

import pytest
import torch

from genrev_cli.files.codes import open_codes
from genrev_cli.files.pictures import read_picture
from genrev_cli.files.sheets import tiles_of
from genrev_cli.store.checkpoints import load_checkpoint

pytestmark = pytest.mark.usefixtures("coarse_maps")

FLOW = """
[model]
name = "inn"
levels = [{ couplings = 1, hidden = 4 }, { couplings = 1, hidden = 4 }, { couplings = 1, hidden = 4 }, { couplings = 1, hidden = 4 }]
hidden_dense = 0
[prior]
name = "diagonal-gaussian"
[train-flow]
batch = 8
steps = 2
"""
REVERSIBLE = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 4 }, { blocks = 1, hidden = 4 }]
exact_bits = 16
[prior]
name = "active-gaussian"
dim = 3
[pretrain-recon]
batch = 8
steps = 2
[train-gan]
loss = "wgan-gp"
batch = 8
steps = 1
"""


@pytest.fixture(params=[(3, 24, 40), (1, 9, 13)], ids=["24×40", "9×13"])
def shape(request):
    return request.param


@pytest.fixture
def made(tmp_path, write_images, shape, monkeypatch):
    """(command, table, out) → one training run on images of that shape, in the current folder, where data.h5 is."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data.h5", shape, (40, 8, 8))

    def train(run, command, table, out, *words):
        (tmp_path / "r.toml").write_text(table)
        code, _, err = run(command, "--data", "data.h5", "--recipe", "r.toml", "--out", out, "--device", "cpu", *words)
        assert code == 0, err

    return train


def completed(run, *commands):
    for words in commands:
        code, _, err = run(*words, "--device", "cpu")
        assert code == 0, (words, err)


def tiles(name):
    """Return the shape of the images in a picture in the current folder, (n, C, H, W)."""
    header, pixels = read_picture(Path(name))
    return tiles_of(pixels, header.config["layout"]).shape


def test_likelihood_of_images_with_a_margin(made, run, run_json, shape):
    """The network halves images four times, so both shapes need a margin."""
    made(run, "train-flow", FLOW, "flow.safetensors")
    found = run_json("fid", "--ckpt", "flow.safetensors", "--ref", "data.h5", "--metrics", "bpd", "--split", "test", "--device", "cpu")
    assert found["metric"] == "bits_per_dim"
    assert 0 < found["value"] < 20
    completed(
        run,
        ["encode", "--ckpt", "flow.safetensors", "--full", "--out", "full.h5"],
        ["traverse", "--ckpt", "flow.safetensors", "--count", 2, "--steps", 3, "--out", "t.png"],
        ["interpolate", "--ckpt", "flow.safetensors", "--random-pairs", 2, "--steps", 3, "--out", "i.png"],
        ["sample", "--ckpt", "flow.safetensors", "-n", 3, "--out", "s.h5"],
    )
    channels, height, width = shape
    padded = channels * (-(-height // 16) * 16) * (-(-width // 16) * 16)
    assert open_codes(Path("full.h5")).codes.shape == (40, padded)
    assert tiles("t.png") == (2 * 3, *shape)
    assert tiles("i.png") == (2 * 5, *shape)  # three steps between the two originals


def test_reversible_network_map_and_gan(made, run, run_json, shape):
    made(run, "pretrain-recon", REVERSIBLE, "recon.safetensors")
    exact = run_json("reconstruct", "--ckpt", "recon.safetensors", "--verify-exact", "--out", "rows.png", "--device", "cpu")
    assert (exact["images_differing"], exact["exact_error"]) == (0, 0)
    completed(
        run,
        ["encode", "--ckpt", "recon.safetensors", "--out", "codes.h5"],
        ["fit-ot", "codes.h5", "--out", "ot.safetensors", "--target-error", 0.5],
        ["train-gan", "--ckpt", "recon.safetensors", "--ot", "ot.safetensors", "--recipe", "r.toml", "--out", "gan.safetensors"],
        ["fit-features", "--data", "data.h5", "--out", "features.safetensors", "--steps", 2],
        [
            "fid",
            "--ckpt",
            "gan.safetensors",
            "--ot",
            "ot.safetensors",
            "-n",
            20,
            "--ref",
            "data.h5",
            "--features",
            "pixel",
            "--split",
            "train",
        ],
        ["fid", "data.h5", "--ref", "data.h5", "--features", "features.safetensors", "--split", "train", "--out", "f.json"],
    )
    assert tiles("rows.png") == (3 * 8, *shape)
    model = load_checkpoint(Path("gan.safetensors"), torch.device("cpu")).autoencoder
    assert model.image_shape == shape
    assert (model.latent_dim > prod(shape)) == (shape == (1, 9, 13)), "only odd sides need a margin with two scales"
