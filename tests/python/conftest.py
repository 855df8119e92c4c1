"""A folder with photos of mixed sizes, data prepared from them, and models of them."""

import io

import pytest
from made_photos import photo

from genrev_cli.cli import main

RECIPE = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 8, kernel = 3 }]
[prior]
name = "active-gaussian"
dim = 5
[pretrain-recon]
lr = 1e-3
batch = 8
steps = 4
[train-adversarial]
prior_samples = 24
hidden = [8, 8]
batch = 8
steps = 3
"""

FLOW = """
[model]
name = "inn"
levels = [{ couplings = 1, hidden = 4 }]
hidden_dense = 4
[prior]
name = "diagonal-gaussian"
[train-flow]
batch = 8
steps = 3
"""


def run_all(*commands):
    for words in commands:
        assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    """A folder: photos/, data.h5 (two classes), recon, adversarial and flow checkpoints, codes.h5, ot and gmm samplers."""
    folder = tmp_path_factory.mktemp("world")
    for number in range(24):
        path = folder / "photos" / ("cats", "dogs")[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(number, (30 + number, 40)).save(path)
    for name, text in {"tiny.toml": RECIPE, "flow.toml": FLOW}.items():
        (folder / name).write_text(text)
    data, model, codes = folder / "data.h5", folder / "adversarial.safetensors", folder / "codes.h5"
    fast = ("--device", "cpu", "--log-every", 4)
    run_all(
        ("prepare-data", "folder", "--path", folder / "photos", "--size", "12x8", "--out", data),
        ("pretrain-recon", "--data", data, "--recipe", folder / "tiny.toml", "--out", folder / "recon.safetensors", *fast),
        ("train-adversarial", "--ckpt", folder / "recon.safetensors", *fast),
        ("train-flow", "--data", data, "--recipe", folder / "flow.toml", "--out", folder / "flow.safetensors", *fast),
        ("encode", "--ckpt", model, "--out", codes, "--split", "all", "--device", "cpu"),
        ("fit-gmm", codes, "--components", 2, "--out", folder / "gmm.safetensors"),
    )
    return folder


@pytest.fixture(scope="package")
def digits(tmp_path_factory):
    """A folder like that of a reader of docs/python.md: data and models of digits, after a few steps."""
    folder = tmp_path_factory.mktemp("digits")
    data, fast = folder / "digits.h5", ("--device", "cpu", "--log-every", 50)
    recon = folder / "recon.safetensors"
    run_all(
        ("prepare-data", "digits", "--out", data),
        ("pretrain-recon", "--data", data, "--out", recon, "--steps", 3, "--batch", 32, *fast),
        ("train-adversarial", "--ckpt", recon, "--steps", 2, "--batch", 32, *fast),
        ("train-flow", "--data", data, "--out", folder / "flow.safetensors", "--steps", 2, "--batch", 32, *fast),
    )
    photo(1, (60, 80)).save(folder / "photo.jpg")
    photo(2, (80, 60)).save(folder / "other.png")
    return folder


@pytest.fixture
def run(capsys):
    """Run a command: its exit code, stdout and stderr."""

    def command(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def encoded():
    """(picture) → its bytes as a PNG."""

    def made(picture):
        file = io.BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    return made
