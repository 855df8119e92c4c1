"""Commands take pictures of any size and prepare them as the data of the training was."""

import json
import zipfile

import numpy as np
import pytest
from conftest import photo

import genrev_cli as genrev
from genrev_cli.data.celeba import faces
from genrev_cli.data.photos import Fitting
from genrev_cli.data.pixels import DamagedImage
from genrev_cli.data.transform import Transform


@pytest.fixture
def album(tmp_path):
    """A folder with pictures of several sizes, formats and modes."""
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    photo(1, (50, 40)).save(folder / "a.png")
    photo(2, (31, 77)).save(folder / "more" / "b.jpg")
    photo(3, (12, 8)).convert("L").save(folder / "c.bmp")
    (folder / "notes.txt").write_text("no picture")
    return folder


def codes_of(path):
    found = genrev.open_codes(path)
    return found, dict(zip(found.names, found.codes, strict=True))


def test_pictures_are_encoded_with_their_names(world, run, album, tmp_path):
    ckpt, single = world / "adversarial.safetensors", tmp_path / "me ä.png"
    photo(9, (99, 60)).save(single)
    code, out, err = run("encode", single, album, "--ckpt", ckpt, "--out", tmp_path / "codes.h5", "--device", "cpu", "--json")
    assert code == 0, err
    assert json.loads(out)["codes"] == 4
    assert "4 pictures are prepared as the images of the training were: largest centre rectangle, resized to 12x8 (Lanczos)" in err
    found, by_name = codes_of(tmp_path / "codes.h5")
    assert found.names == ("me ä.png", "a.png", "c.bmp", "more/b.jpg")
    assert (found.labels == -1).all()
    assert list(found.rows) == [0, 1, 2, 3]
    model = genrev.load(ckpt, device="cpu")
    np.testing.assert_allclose(by_name["more/b.jpg"], model.encode(album / "more" / "b.jpg")[0], atol=1e-6)
    record = found.header.inputs["pictures"]
    assert record["selection"]["n"] == 4
    assert record["selection"]["preparation"]["size"] == [12, 8]


def test_info_lists_the_names(world, run, album, tmp_path):
    run("encode", album, "--ckpt", world / "adversarial.safetensors", "--out", tmp_path / "codes.h5", "--device", "cpu")
    code, out, _ = run("info", tmp_path / "codes.h5", "--verify")
    assert code == 0
    assert "names: a.png, c.bmp, more/b.jpg" in out
    assert json.loads(run("info", tmp_path / "codes.h5", "--json")[1])["names"] == ["a.png", "c.bmp", "more/b.jpg"]
    assert "names" not in run("info", world / "codes.h5")[1]


def test_a_zip_and_a_folder_of_the_same_pictures_have_the_same_codes(world, run, album, tmp_path):
    with zipfile.ZipFile(tmp_path / "album.zip", "w") as archive:
        for name in ("a.png", "c.bmp", "more/b.jpg"):
            archive.write(album / name, name)
    for source in ("album", "album.zip"):
        ckpt, out = world / "adversarial.safetensors", tmp_path / f"{source}.h5"
        assert run("encode", tmp_path / source, "--ckpt", ckpt, "--out", out, "--full", "--device", "cpu")[0] == 0
    (a, ours), (b, theirs) = codes_of(tmp_path / "album.h5"), codes_of(tmp_path / "album.zip.h5")
    assert ours.keys() == theirs.keys()
    np.testing.assert_array_equal(a.codes, b.codes)
    assert a.header.inputs["pictures"]["sha256"] == b.header.inputs["pictures"]["sha256"]


def test_pictures_of_one_name_are_told_apart(world, run, album, tmp_path):
    ckpt, out = world / "adversarial.safetensors", tmp_path / "codes.h5"
    assert run("encode", album / "a.png", album, "--ckpt", ckpt, "--out", out, "--device", "cpu")[0] == 0
    assert genrev.open_codes(out).names == (str(album / "a.png"), str(album / "a.png"), "c.bmp", "more/b.jpg")


def test_codes_of_pictures_are_fitted_like_any_other(world, run, tmp_path):
    out = tmp_path / "codes.h5"
    run("encode", world / "photos", "--ckpt", world / "adversarial.safetensors", "--out", out, "--device", "cpu")
    assert run("fit-gmm", out, "--components", 2, "--out", tmp_path / "gmm.safetensors")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("{album}/gone.png",), 3, "{album}/gone.png: no such file or folder; give pictures, or folders or zips of them"),
        (("{album}/notes.txt",), 3, "{album}/notes.txt: not a usable picture (its content has no known image format); repair or remove it"),
        (("{album}/cut.png",), 3, "{album}/cut.png: not a usable picture"),
        (("{album}/empty",), 3, "{album}/empty: has no images"),
        (("{album}/a.png", "--data", "{world}/data.h5"), 2, "{album}/a.png and --data {world}/data.h5: both choose the images"),
        (("{album}/a.png", "--split", "test"), 2, "{album}/a.png and --split test: both choose the images; leave one of them out"),
        (("--as-is",), 2, "--as-is: has a meaning only with pictures; give some, or leave it out"),
        (
            ("{album}/a.png", "--as-is"),
            3,
            "{album}/a.png: not a usable picture (it is 50×40 and in colour, and the model takes 12×8 and in colour; "
            "leave out --as-is to crop and resize it)",
        ),
        (
            ("{album}/c.bmp", "--as-is"),
            3,
            "{album}/c.bmp: not a usable picture (it is 12×8 and gray, and the model takes 12×8 and in colour",
        ),
    ],
)
def test_what_cannot_be_encoded_is_named_in_a_sentence(world, run, album, tmp_path, words, code, error):
    (album / "empty").mkdir()
    (album / "cut.png").write_bytes((album / "a.png").read_bytes()[:300])
    words = [word.format(album=album, world=world) for word in words]
    found, out, err = run("encode", *words, "--ckpt", world / "adversarial.safetensors", "--out", tmp_path / "codes.h5", "--device", "cpu")
    assert (found, out) == (code, "")
    assert error.format(album=album, world=world) in err
    assert not (tmp_path / "codes.h5").exists()


def test_a_picture_of_the_model_passes_as_it_is(world, run, tmp_path):
    path, ckpt = tmp_path / "fits.png", world / "adversarial.safetensors"
    photo(4, (12, 8)).save(path)
    code, _, err = run("encode", path, "--ckpt", ckpt, "--as-is", "--out", tmp_path / "codes.h5", "--device", "cpu")
    assert code == 0, err
    assert "prepared" not in err
    np.testing.assert_allclose(genrev.open_codes(tmp_path / "codes.h5").codes, genrev.load(ckpt, device="cpu").encode(path), atol=1e-6)


@pytest.mark.parametrize("size", [(178, 218), (300, 200)])
def test_raw_pictures_of_a_data_set_are_cropped_as_it_was(encoded, size):
    """Any other picture gets the largest crop."""
    picture = photo(5, size)
    of_data = faces("140", (16, 16))
    fitted = Fitting(of_data, (3, 16, 16))(encoded(picture))
    general = Transform(channels=3, size=(16, 16))
    wanted = of_data if size == (178, 218) else general
    np.testing.assert_array_equal(fitted, wanted(encoded(picture)))


def test_a_header_without_a_preparation_is_said_and_means_the_largest_crop(world, tmp_path, run, monkeypatch):
    from genrev_cli.store import preparation

    monkeypatch.setattr(preparation, "from_table", lambda table: None)
    path = tmp_path / "p.png"
    photo(4, (50, 30)).save(path)
    ckpt = world / "adversarial.safetensors"
    _, _, err = run("encode", path, "--ckpt", ckpt, "--out", tmp_path / "c.h5", "--device", "cpu")
    assert "does not say how its images were prepared; for pictures it is taken to be: largest centre rectangle, resized to 12x8" in err


def test_as_is_refuses_what_would_be_changed(encoded):
    fitting = Fitting(Transform(channels=1, size=(12, 8)), (1, 8, 12), as_is=True)
    assert fitting(encoded(photo(1, (12, 8)).convert("L"))).shape == (1, 8, 12)
    with pytest.raises(DamagedImage, match="it is 12×8 and in colour, and the model takes 12×8 and gray"):
        fitting(encoded(photo(1, (12, 8))))


def test_samples_of_another_size_are_scored_as_the_reference_was_prepared(world, run, tmp_path):
    """The photos that the data was made of, scored against the data: the same pixels, so the distance is 0."""
    words = ("--ref", world / "data.h5", "--split", "all", "--features", "pixel", "--no-cache", "--out", tmp_path / "fid.json", "--json")
    code, _, err = run("fid", world / "photos", *words)
    assert code == 2
    assert "different sizes" in err
    code, out, err = run("fid", world / "photos", "--prepare", *words)
    assert code == 0, err
    numbers = json.loads(out)
    assert numbers["value"] == pytest.approx(0, abs=1e-6)
    assert numbers["prepared"] == "largest centre rectangle, resized to 12x8 (Lanczos)"
    assert "--prepare: the 24 images of" in err
    header = json.loads((tmp_path / "fid.json").read_text())["genrev"]
    assert header["inputs"]["samples"]["selection"] == {
        "n": 24,
        "preparation": Transform(channels=3, size=(12, 8)).table(),
    }


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("{world}/data.h5", "--ref", "{world}/data.h5"), "--prepare: prepares picture files, and {world}/data.h5 holds arrays"),
        (("{world}/photos", "--ref", "{world}/photos"), "--prepare: --ref {world}/photos does not say how its images were prepared"),
        (("--ckpt", "{world}/recon.safetensors", "--ref", "{world}/data.h5"), "--prepare: is for picture files, and none are given"),
    ],
)
def test_a_preparation_that_makes_no_sense_is_refused(world, run, tmp_path, words, error):
    words = [word.format(world=world) for word in words]
    code, _, err = run("fid", *words, "--prepare", "--features", "pixel", "--no-cache", "--out", tmp_path / "f.json")
    assert code == 2
    assert error.format(world=world) in err
