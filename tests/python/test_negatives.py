"""Dark ink on white paper, for models of light strokes on black: a note says so, and --invert turns black and white around."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genrev_cli as genrev
from genrev_cli.explore.asked import Changes
from genrev_cli.explore.session import Opened, Session
from genrev_cli.files.any import read_any_header
from genrev_cli.files.pictures import read_picture
from genrev_cli.progress import SILENT
from genrev_cli.settings.edits import Edits
from genrev_cli.store.checkpoints import load_checkpoint

NOTE = "ink.png is dark on light, but the images of this model are light on dark; pass --invert to turn black and white around"


@pytest.fixture
def ink(tmp_path, monkeypatch):
    """A folder with ink.png and more-ink.png, dark strokes on paper, and light.png and more-light.png, their negatives."""
    monkeypatch.chdir(tmp_path)
    paper = np.full((60, 60), 230, np.uint8)
    paper[10:50, 27:33] = 30
    for name, image in (("", paper), ("more-", paper.T)):
        Image.fromarray(image).save(f"{name}ink.png")
        Image.fromarray(255 - image).save(f"{name}light.png")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (("ink.png",), NOTE),
        (("light.png",), ""),
        (("ink.png", "--invert"), ""),
        (("light.png", "--invert"), "light.png is dark on light, but the images of this model are light on dark; leave --invert out"),
    ],
)
def test_a_negative_is_named(ink, run, words, note):
    code, _, err = run("edit", *words, "--ckpt", "mnist", "--toward", "1", "--out", "one.png", "--device", "cpu")
    assert code == 0, err
    assert [line.removeprefix("genrev: ") for line in err.splitlines() if "images of this model" in line] == [note][: bool(note)]
    assert ("; inverted" in err) == ("--invert" in words)


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("edit", "{}", "--dim", "0=+1", "--like", "{}", "--unlike", "{}"), "edited.png"),
        (("reconstruct", "{}"), "pictures.png"),
        (("interpolate", "{}", "{}"), "path.png"),
        (("interpolate", "{}", "{}", "--fps", "2", "--seconds", "1"), "film.gif"),
        (("traverse", "--around", "{}"), "rows.png"),
        (("sample", "--like", "{}", "-n", "2"), "samples.npz"),
        (("encode", "{}"), "codes.h5"),
        (("fit-directions", "some.h5", "--from", "{}", "--to", "more-{}"), "directions.safetensors"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_an_inverted_picture_is_its_negative(ink, run, words, out):
    """The result is that of the negative as a file; only the header and the names of rows tell them apart."""
    found, codes = [], np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    genrev.write_codes("some.h5", codes, ckpt=genrev.load("mnist", device="cpu").path)
    for name, more in (("ink.png", ("--invert",)), ("light.png", ())):
        target = ink / name.removesuffix(".png") / out
        target.parent.mkdir()
        filled = [word.format(name) for word in words]
        names = ("--no-labels",) if out.endswith("s.png") or out == "path.png" else ()
        code, _, err = run(*filled, *names, *more, "--ckpt", "mnist", "--out", target, "--device", "cpu")
        assert code == 0, err
        found.append(content(target))
    np.testing.assert_array_equal(*found)


def content(path):
    if path.suffix == ".png":
        return read_picture(path)[1]
    if path.suffix == ".npz":
        return np.load(path)["images"]
    if path.suffix == ".gif":
        with Image.open(path) as film:
            return np.asarray(film)
    if path.suffix == ".h5":
        return genrev.open_codes(path).codes
    return np.frombuffer(bytes.fromhex(read_any_header(path).sha256), np.uint8)


def test_the_header_says_that_a_picture_was_inverted(ink, run):
    words = ("encode", "ink.png", "--ckpt", "mnist", "--out", "codes.h5", "--device", "cpu")
    assert run(*words, "--invert")[0] == 0
    assert read_any_header(ink / "codes.h5").inputs["pictures"]["selection"]["preparation"]["invert"] is True
    assert run(*words)[0] == 0
    assert "invert" not in read_any_header(ink / "codes.h5").inputs["pictures"]["selection"]["preparation"]


@pytest.mark.parametrize(
    "words", [("encode",), ("traverse",), ("sample",), ("edit", "0", "--rest", "0"), ("explore", "--record", "t.html")], ids=" ".join
)
def test_invert_is_for_pictures(ink, run, words):
    code, _, err = run(*words, "--ckpt", "mnist", "--invert", "--device", "cpu")
    assert code == 2
    assert "--invert: has " in err


@pytest.mark.parametrize("invert", [True, False])
def test_the_page_opens_negatives(ink, invert):
    cpu = torch.device("cpu")
    session = Session(Opened(model=load_checkpoint(Path("mnist"), cpu), device=cpu, invert=invert), SILENT)
    number = session.upload((ink / "ink.png").read_bytes(), "ink.png")
    photo, command = session.photos.get(number), session.command(number, Changes(edits=Edits(dims=((0, 1.0),))))
    assert (photo.pixels[0, 0, 0, 0] < 50) == invert
    assert ("dark on light" in photo.about) != invert
    assert command == f"genrev edit ink.png --ckpt mnist{' --invert' if invert else ''} --dim 0=+1 --latent full"
