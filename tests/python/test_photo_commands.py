"""Commands take pictures of any size and prepare them as the data of the training was."""

import json
import zipfile

import numpy as np
import pytest
import torch
from made_photos import photo

import genrev_cli as genrev
from genrev_cli.data.celeba import faces
from genrev_cli.data.photos import Fitting
from genrev_cli.data.pixels import DamagedImage
from genrev_cli.data.transform import Transform
from genrev_cli.files.pictures import read_picture
from genrev_cli.latents import ActiveGaussian, ClassGaussians
from genrev_cli.settings.sampling import Draw
from genrev_cli.store.around import Around
from genrev_cli.store.drawing import Drawing


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
    assert genrev.open_codes(out).names == ("a.png", "a.png (2)", "c.bmp", "more/b.jpg")


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


def pixels_of(path):
    """The pixels of a genrev picture's tiles, without labels: (rows, columns, C, H, W)."""
    header, picture = read_picture(path)
    layout = header.config["layout"]
    height, width = layout["tile"]
    scale, gap, columns = layout["scale"], layout["gap"], layout["columns"]
    across, down = width * scale + gap, height * scale + gap
    rows = (picture.shape[1] - layout["top"] - gap) // down
    picture = picture[:, layout["top"] + gap :, layout["left"] + gap :]
    tiles = [
        [picture[:, r * down : r * down + height * scale : scale, c * across : c * across + width * scale : scale] for c in range(columns)]
        for r in range(rows)
    ]
    return header, np.array(tiles)


def test_pictures_are_reconstructed(world, run, album, tmp_path):
    ckpt, out = world / "adversarial.safetensors", tmp_path / "r.png"
    code, text, err = run("reconstruct", album / "a.png", album, "--ckpt", ckpt, "--out", out, "--columns", 3, "--device", "cpu", "--json")
    assert code == 0, err
    assert json.loads(text)["images"] == 4
    header, tiles = pixels_of(out)
    model = genrev.load(ckpt, device="cpu")
    wanted = [album / "a.png", album / "a.png", album / "c.bmp"]
    np.testing.assert_array_equal(tiles[1], model.reconstruct(wanted))
    np.testing.assert_array_equal(tiles[2], tiles[0])
    np.testing.assert_array_equal(tiles[2], model.reconstruct(wanted, full=True))
    assert header.inputs["pictures"]["selection"]["n"] == 4
    assert "data" not in header.inputs
    assert "split" not in header.config["numbers"]


def test_a_picture_of_other_images_is_not_replaced(world, run, album, tmp_path):
    ckpt, out = world / "adversarial.safetensors", tmp_path / "r.png"
    assert run("reconstruct", album, "--ckpt", ckpt, "--out", out, "--device", "cpu")[0] == 0
    code, _, err = run("reconstruct", "--ckpt", ckpt, "--out", out, "--device", "cpu")
    assert code == 3
    assert "and would be replaced by another picture; choose another --out, or pass --force" in err
    assert run("reconstruct", album, "--ckpt", ckpt, "--out", out, "--device", "cpu")[0] == 0


def test_an_interpolation_goes_from_picture_to_picture(world, run, album, tmp_path):
    ckpt, out = world / "adversarial.safetensors", tmp_path / "i.png"
    words = ("--latent", "full", "--steps", 3, "--device", "cpu", "--split", "all")
    code, _, err = run("interpolate", album / "a.png", album / "more" / "b.jpg", 0, album / "c.bmp", "--ckpt", ckpt, "--out", out, *words)
    assert code == 0, err
    header, tiles = pixels_of(out)
    model = genrev.load(ckpt, device="cpu")
    line = model.interpolate(album / "a.png", album / "more" / "b.jpg", 3, full=True)
    np.testing.assert_array_equal(tiles[0, 1:-1], line[0])
    np.testing.assert_array_equal(tiles[0, 0], tiles[0, 1])
    np.testing.assert_array_equal(tiles[1, 0], genrev.open_data(world / "data.h5").images[0])
    assert header.inputs["pictures"]["selection"]["n"] == 3
    assert "data" in header.inputs


@pytest.mark.parametrize("latent", ["restricted", "full"])
def test_a_traversal_around_a_picture(world, run, album, tmp_path, latent):
    """With the full latent, the middle of a row whose dimension is at the prior's mean keeps everything else of the picture."""
    ckpt, out = world / "adversarial.safetensors", tmp_path / "t.png"
    words = ("--dim", 2, "--steps", 5, "--latent", latent, "--device", "cpu")
    code, _, err = run("traverse", "--around", album / "a.png", "--ckpt", ckpt, "--out", out, *words)
    assert code == 0, err
    _, tiles = pixels_of(out)
    model = genrev.load(ckpt, device="cpu")
    z = torch.from_numpy(model.encode(album / "a.png", full=True))
    moved = z if latent == "full" else model.prior.restrict(z)
    moved = moved.repeat(5, 1)
    moved[:, model.prior.active[2]] = torch.linspace(-3, 3, 5)
    np.testing.assert_array_equal(tiles[0], model.decode(moved.numpy()))


def test_samples_like_a_picture(world, run, album, tmp_path):
    ckpt = world / "adversarial.safetensors"
    model, found = genrev.load(ckpt, device="cpu"), {}
    for spread in (0, 0.5, 1):
        out = tmp_path / f"{spread}.npz"
        words = ("--spread", spread, "-n", 6, "--seed", 1, "--device", "cpu")
        code, _, err = run("sample", "--like", album / "a.png", "--ckpt", ckpt, "--out", out, *words)
        assert code == 0, err
        found[spread] = np.load(out)["images"].astype(int)
        np.testing.assert_array_equal(found[spread], model.sample(6, seed=1, like=album / "a.png", spread=spread))
    original = model.reconstruct(album / "a.png", full=True).astype(int)
    assert (found[0] == original).all()
    nearer, farther = (np.abs(found[spread] - original).mean() for spread in (0.5, 1))
    assert 0 < nearer < farther
    header = json.loads(np.load(tmp_path / "0.5.npz")["genrev"].item())
    assert (header["config"]["like"], header["config"]["spread"]) == ("a.png", 0.5)
    assert header["inputs"]["like"]["selection"]["n"] == 1


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_samples_around_a_typical_image_are_typical(spread):
    """y₀ and y independent draws of N(μ, σ²): so is y'. The inactive dimensions stay those of the image."""
    prior = ActiveGaussian(3, 5, bound=0.0)
    prior.active.copy_(torch.tensor([0, 2, 4]))
    generator = torch.Generator().manual_seed(0)
    mean, std, n = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 1.0, 2.0]), 20_000
    y0, y = (mean + std * torch.randn(n, 3, generator=generator) for _ in range(2))
    z = prior.embed(y0) + 7 * (prior.embed(torch.ones(n, 3)) == 0)
    found = Around(z, spread).latents(prior, y, mean)
    moved = prior.select(found)
    assert torch.allclose(moved.mean(0), mean, atol=0.06)
    assert torch.allclose(moved.std(0), std, rtol=0.03)
    correlation = ((moved - mean) * (y0 - mean)).mean(0) / std**2
    assert torch.allclose(correlation, torch.full((3,), (1 - spread**2) ** 0.5), atol=0.03)
    assert (found[:, [1, 3]] == 7).all()
    if spread == 0:
        assert (found == z).all()


def test_images_like_another_of_one_class(tmp_path):
    """The mean is that of the class, and an image of it is as near to it as before."""
    prior = ClassGaussians(4, 2)
    with torch.no_grad():
        prior.mean.copy_(torch.tensor([[5.0] * 4, [-5.0] * 4]))
        prior.std.fill_(1e-3)
    drawing = Drawing(prior.requires_grad_(False), Draw(labels=(0, 1)), torch.device("cpu"), around=Around(torch.full((1, 4), 6.0), 0.6))
    z = drawing.latents(range(4))
    assert torch.allclose(z[::2], torch.full((2, 4), 5 + 0.8 * 1.0), atol=0.01)
    assert torch.allclose(z[1::2], torch.full((2, 4), -5 + 0.8 * 11.0), atol=0.01)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("sample", "--spread", 0.2), 2, "--spread 0.2: has a meaning only with --like; give a picture"),
        (("sample", "--as-is"), 2, "--as-is: has a meaning only with --like"),
        (
            ("sample", "--like", "{album}/a.png", "--gmm", "{world}/gmm.safetensors"),
            2,
            "--like {album}/a.png: draws around a code in the prior",
        ),
        (("sample", "--like", "{album}/a.png", "--spread", 2), 2, "--spread 2: must be at most 1"),
        (("sample", "--like", "{album}"), 2, "--like {album}: is a folder or an archive, but a single picture is needed here"),
        (("sample", "--like", "{album}/a.png", "--as-is"), 3, "{album}/a.png: not a usable picture (it is 50×40"),
        (("traverse", "--around", "{album}"), 2, "{album}: is a folder or an archive"),
        (("traverse", "--latent", "full"), 2, "--latent full: keeps the details of an image; give one with --around"),
        (("traverse", "--as-is"), 2, "--as-is: has a meaning only with pictures"),
        (("interpolate", 0, 1, "--as-is"), 2, "--as-is: has a meaning only with pictures"),
        (("interpolate", "{album}/a.png", "{album}/gone.jpg"), 3, "{album}/gone.jpg: no such file"),
        (("reconstruct", "{album}/a.png", "--data", "{world}/data.h5"), 2, "both choose the images; leave one of them out"),
    ],
)
def test_what_a_command_cannot_do_with_a_picture(world, run, album, tmp_path, words, code, error):
    words = [str(word).format(album=album, world=world) for word in words]
    out = ("--out", tmp_path / ("s" if words[0] == "sample" else "p.png"))
    found, _, err = run(*words, "--ckpt", world / "adversarial.safetensors", *out, "--device", "cpu")
    assert found == code
    assert error.format(album=album, world=world) in err
