"""`import genrev_cli as genrev`: light to import, files opened and written, scores."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genrev_cli as genrev
from genrev_cli.data.transform import WHOLE, Transform
from genrev_cli.errors import FileError, UsageError


def test_the_import_is_light():
    code = "import sys\nimport genrev_cli\nprint(*({'torch', 'numpy', 'h5py', 'PIL', 'typer'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("name", genrev.__all__)
def test_everything_public_has_a_docstring(name):
    assert len(getattr(genrev, name).__doc__) > 40


def test_images_are_read_when_they_are_asked_for(world):
    data = genrev.open_data(world / "data.h5")
    images, whole = data.images, data.read(range(24))
    assert images.shape == (24, 3, 8, 12)
    assert len(images) == 24
    assert data.classes == ("cats", "dogs")
    np.testing.assert_array_equal(np.asarray(images), whole)
    for chosen in (3, -1, slice(2, 9, 3), [5, 1, 1], data.labels == 1, data.rows("test")):
        np.testing.assert_array_equal(images[chosen], whole[chosen])
    with pytest.raises(IndexError):
        images[24]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NHW", "memory map"])
def test_written_data_is_read_by_every_command(tmp_path, run, layout):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 1 if layout == "NHW" else 3, 9, 8), np.uint8)
    given = {"NHWC": pixels.transpose(0, 2, 3, 1), "NHW": pixels[:, 0]}.get(layout, pixels)
    if layout == "memory map":
        np.save(tmp_path / "x.npy", pixels)
        given = np.load(tmp_path / "x.npy", mmap_mode="r")
    path = tmp_path / "own.h5"
    labels, split = np.arange(20) % 2, ["train"] * 16 + ["val"] * 2 + ["test"] * 2
    traits = {"bright": np.arange(20) % 3 - 1, "round": np.ones(20, int)}
    genrev.write_data(path, given, labels=labels, split=split, classes=("a", "b"), attributes=traits)
    data = genrev.open_data(path)
    assert data.attribute_names == ["bright", "round"]
    np.testing.assert_array_equal(data.attributes, np.stack(list(traits.values()), axis=1))
    np.testing.assert_array_equal(data.images[:], pixels)
    np.testing.assert_array_equal(data.labels, labels)
    assert data.header.config["counts"] == {"train": 16, "val": 2, "test": 2}
    assert data.header.config["preparation"] == Transform(channels=pixels.shape[1], crop=WHOLE).table()
    np.testing.assert_allclose(data.header.config["mean"], pixels[:16].mean((0, 2, 3)) / 255)
    np.testing.assert_allclose(data.header.config["std"], pixels[:16].std((0, 2, 3)) / 255)
    assert run("info", path, "--verify")[0] == 0
    assert run("fid", path, "--ref", path, "--split", "train", "--features", "pixel", "--no-cache", "--out", tmp_path / "f.json")[0] == 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"images": np.zeros((4, 3, 8, 8))}, "images have shape .* and type float64, but must be uint8"),
        ({"images": np.zeros((4, 2, 8, 8), np.uint8)}, "1 or 3 channels"),
        ({"labels": [0, 1]}, "labels must be 4 whole numbers"),
        ({"labels": [0, 1, 2, 3], "classes": ("a",)}, "label 3 has no name: 1 classes are named"),
        ({"attributes": {"bright": [1, 0, 2, 0]}}, "attribute 'bright' must have 4 values, each 1"),
        ({"split": "training"}, "split has 'training'; give 'train', 'val' or 'test'"),
        ({"split": ["train"]}, "split has 1 words for 4 images"),
        ({"split": "test"}, "split has no 'train' image"),
    ],
)
def test_unusable_data_is_refused_in_a_sentence(tmp_path, change, error):
    images = change.pop("images", np.zeros((4, 3, 8, 8), np.uint8))
    with pytest.raises(UsageError, match=error):
        genrev.write_data(tmp_path / "d.h5", images, **change)
    assert not (tmp_path / "d.h5").exists()


def test_written_codes_fit_the_checkpoint_that_they_are_of(world, tmp_path, run):
    model = genrev.load(world / "adversarial.safetensors", device="cpu")
    own, names = tmp_path / "own.h5", [f"Bild {i}.png" if i else "ä.png" for i in range(24)]
    codes = genrev.open_codes(world / "codes.h5").codes * np.float32(0.5)
    genrev.write_codes(own, codes, labels=np.arange(24) % 3, names=names, ckpt=model.path)
    found = genrev.open_codes(own)
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_array_equal(found.labels, np.arange(24) % 3)
    assert found.names == tuple(names)
    assert found.header.config == {"latent": "restricted", "dim": 5, "split": ""}
    assert run("fit-gmm", own, "--components", 2, "--out", tmp_path / "gmm.safetensors")[0] == 0
    assert genrev.load(model.path, device="cpu", sampler=tmp_path / "gmm.safetensors").sample(2).shape == (2, 3, 8, 12)
    genrev.write_codes(own, np.zeros((2, 288)), ckpt=model.path)
    assert genrev.open_codes(own).header.config["latent"] == "full"


@pytest.mark.parametrize(
    ("codes", "more", "error"),
    [
        (np.zeros(3), {}, r"codes have shape \(3,\)"),
        (np.zeros((2, 3)), {"names": ["a"]}, "1 names are given for 2 codes"),
        (np.zeros((2, 3)), {"labels": [0.5, 1]}, "labels must be 2 whole numbers"),
        (np.zeros((2, 3)), {"ckpt": "adversarial.safetensors"}, "codes have 3 dimensions, but those of .* have 5, or 288"),
    ],
)
def test_unusable_codes_are_refused_in_a_sentence(world, tmp_path, codes, more, error):
    more = {key: world / value if key == "ckpt" else value for key, value in more.items()}
    with pytest.raises(UsageError, match=error):
        genrev.write_codes(tmp_path / "c.h5", codes, **more)


def test_a_file_of_another_program_is_not_replaced(tmp_path):
    (tmp_path / "c.h5").write_bytes(b"precious")
    with pytest.raises(FileError, match="is not a file of kind 'codes' that genrev made"):
        genrev.write_codes(tmp_path / "c.h5", np.zeros((2, 3)))


def test_scores_are_those_of_the_command(world, tmp_path, run):
    samples, data = tmp_path / "s.h5", world / "data.h5"
    model = genrev.load(world / "adversarial.safetensors", device="cpu", sampler=world / "gmm.safetensors")
    run("sample", "--ckpt", model.path, "--gmm", world / "gmm.safetensors", "-n", 20, "--out", samples, "--device", "cpu")
    settings = {"features": "pixel", "split": "train", "device": "cpu", "cache": False}
    code, _, _ = run("fid", samples, "--ref", data, "--features", "pixel", "--split", "train", "--no-cache", "--out", tmp_path / "f.json")
    assert code == 0
    of_files = genrev.fid(samples, data, **settings)
    of_arrays = genrev.fid(
        model.sample(20), genrev.open_data(data).images[genrev.open_data(data).rows("train")], **settings | {"split": ""}
    )
    of_model = genrev.fid(model, data, n=20, metrics="fid,kid", **settings)
    assert of_files["value"] == of_arrays["value"]
    assert of_model["value"] == pytest.approx(of_files["value"], rel=1e-6)
    assert f'"value": {of_files["value"]}' in (tmp_path / "f.json").read_text()
    assert "KD-pixel" in of_model
    assert genrev.fid(model.path, data, n=20, **settings)["sampler"] == "prior"


def test_wrong_settings_of_a_score(world):
    with pytest.raises(UsageError, match="unknown setting 'feature'; choose build_ref"):
        genrev.fid(world / "data.h5", world / "data.h5", feature="pixel")
    with pytest.raises(UsageError, match="images are given as Tensor; give a path, a NumPy array, or a model"):
        genrev.fid(torch.zeros(1), world / "data.h5")


def test_a_grid_is_a_picture():
    picture = genrev.grid(np.zeros((5, 3, 40, 50), np.uint8), columns=3)
    assert isinstance(picture, Image.Image)
    assert picture.width > 3 * 50
