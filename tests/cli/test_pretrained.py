"""The model that comes with genrev, by its name: at the command line and in Python, without data, training or network."""

import re

import numpy as np
import pytest
from PIL import Image

import genrev_cli as genrev
from genrev_cli.files import pretrained
from genrev_cli.files.any import content_of, read_any_header
from genrev_cli.store.checkpoints import load_checkpoint

PARTS = ("", pretrained.DIRECTIONS, pretrained.OT)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Test images of the built-in part of MNIST, which the model was not trained on, and their labels."""
    from genrev_cli.cli import main

    out = tmp_path_factory.mktemp("small") / "mnist-small.h5"
    assert main(["prepare-data", "mnist-small", "--out", str(out)]) == 0
    data = genrev.open_data(out)
    rows = data.rows("test")
    return data.read(rows), data.labels[rows]


@pytest.fixture
def photo(digits, tmp_path, monkeypatch):
    """An empty folder with a picture of a digit."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(digits[0][0, 0]).save("me.png")
    return "me.png"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", pretrained.names())
def test_a_name_stands_for_a_sound_file_without_paths_of_its_maker(name, part):
    path = pretrained.found(pretrained.Path(name), part)
    header = read_any_header(path)
    assert content_of(path, header) == header.sha256
    assert not re.search(rb"/(?:home|root|work|tmp|Users)/", path.read_bytes())
    assert pretrained.short(path) == name


def test_together_they_are_small():
    assert pretrained.names() == ["mnist"]
    assert sum(path.stat().st_size for path in pretrained.FOLDER.glob("*.safetensors")) <= 5_000_000


def test_the_header_says_how_it_was_made_and_how_good_it_is():
    header = load_checkpoint(pretrained.Path("mnist"), genrev_device()).header
    assert header.made_by["command"].startswith("genrev train-adversarial ")
    assert "seed" in header.made_by
    metrics = [score["result"]["metric"] for score in header.config["scores"]]
    assert metrics
    assert all(score["header"]["made_by"]["command"].startswith("genrev fid ") for score in header.config["scores"])


def genrev_device():
    import torch

    return torch.device("cpu")


def test_info_shows_its_scores_in_lines_that_can_be_read(run):
    code, out, _ = run("info", "mnist")
    lines = [line.strip() for line in out.splitlines()]
    scores = [line for line in lines if line.startswith("score: ")]
    assert (code, len(scores)) == (0, 2)
    assert scores[0].startswith("score: FD-classifier 101.8, precision 0.7186, ")
    assert scores[1].endswith("split test, sampler ot")
    assert all(len(line) < 300 for line in scores)
    assert sum(line.startswith("$ genrev fid ") for line in lines) == 2


def test_a_file_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").write_text("mine")
    with pytest.raises(genrev.GenrevError, match="mnist: not a readable safetensors file"):
        genrev.load("mnist", device="cpu")


def test_its_inverse_is_exact(digits):
    model = genrev.load("mnist", device="cpu")
    images = digits[0][:200]
    assert (model.reconstruct(images, full=True) == images).all()
    assert np.abs(model.reconstruct(images).astype(int) - images).mean() < 15


def test_its_samples_are_those_of_the_map_and_look_like_digits():
    """Most of a digit's pixels are black, and its strokes are bright."""
    images = genrev.load("mnist", device="cpu", sampler="mnist").sample(32, seed=1)
    assert images.shape == (32, 1, 28, 28)
    assert 0.5 < (images < 32).mean() < 0.95
    assert images.reshape(32, -1).max(1).min() > 180


def test_a_digit_becomes_another_class(photo, run, digits):
    """Its directions are found without --directions, and its code arrives at the mean of the class."""
    code, out, err = run("edit", photo, "--ckpt", "mnist", "--toward", "7", "--move", "pc1=+0.5", "--out", "seven.png", "--device", "cpu")
    assert (code, out) == (0, "seven.png\n"), err
    model = genrev.load("mnist", device="cpu")
    sevens, others = (model.encode(digits[0][mask][:100]) for mask in (digits[1] == 7, digits[1] == 0))
    edited = model.encode(["seven.png"])[0]
    assert np.linalg.norm(edited - sevens.mean(0)) < np.linalg.norm(edited - others.mean(0))
    toward = model.edit(photo, toward="7", full=False)
    assert np.abs(model.encode(toward)[0] - sevens.mean(0)).mean() < 0.4


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "--ckpt", "mnist", "--ot", "mnist", "-n", 4, "--out", "some.npz"),
        ("traverse", "--ckpt", "mnist", "--directions", "mnist", "--direction", "3", "--around", "me.png", "--out", "rows.png"),
        ("interpolate", "me.png", "me.png", "--ckpt", "mnist", "--ot", "mnist", "--out", "path.png"),
        ("encode", "me.png", "--ckpt", "mnist", "--full", "--out", "codes.h5"),
        ("info", "mnist", "--verify"),
    ],
    ids=lambda words: words[0],
)
def test_commands_take_its_name(photo, run, words):
    found = run(*words, *(() if words[0] == "info" else ("--device", "cpu")))
    assert found[0] == 0, found


def test_files_made_from_it_name_its_file_and_not_its_name(photo, run):
    assert run("encode", "me.png", "--ckpt", "mnist", "--out", "codes.h5", "--device", "cpu")[0] == 0
    record = read_any_header(pretrained.Path("codes.h5")).inputs["ckpt"]
    assert record["path"] == str(pretrained.found(pretrained.Path("mnist")).resolve())


def test_images_of_its_training_are_not_in_the_package(photo, run):
    code, _, err = run("reconstruct", "--ckpt", "mnist", "--device", "cpu")
    assert (code, "mnist: comes without images" in err, "--data" in err) == (2, True, True), err


def test_the_page_opens_it_without_any_option(photo):
    from genrev_cli.cli.generate import BUILT
    from genrev_cli.explore.asked import Asked, Changes
    from genrev_cli.explore.session import Opened, Session
    from genrev_cli.progress import SILENT
    from genrev_cli.settings.edits import Edits
    from genrev_cli.settings.sampling import SamplerFile
    from genrev_cli.store.belonging import directions_of
    from genrev_cli.store.samplers import open_model

    default = BUILT["explore"].parts["ckpt"].default
    model = open_model(default, genrev_device(), SamplerFile(default, "ot"))
    session = Session(Opened(model=model, device=genrev_device(), directions=directions_of(model, None, SILENT), points=8), SILENT)
    number = session.draw(Asked(kind="prior"))
    command = session.command(number, Changes(edits=Edits(toward=(("3", 1.0),))))
    assert command == "genrev edit sample-0-0.png --ckpt mnist --toward 3=1 --latent full"
