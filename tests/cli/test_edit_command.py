"""genrev edit: photos in, edited photos out, from words to files; and the same in Python."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genrev_cli as genrev
from genrev_cli.files.any import read_any_header
from genrev_cli.files.pictures import read_picture
from genrev_cli.files.sheets import tiles_of
from genrev_cli.settings.edits import parsed, words_of


@pytest.fixture(scope="module")
def studio(chain):
    """The chain's folder with photos, directions of restricted and full codes, a network that is no bijection, and a classifier."""
    from genrev_cli.cli import main

    recon, data = chain / "recon.safetensors", chain / "digits.h5"
    fast = ["--device", "cpu", "--log-every", 50, "--steps", 2]
    for words in (
        ["encode", "--ckpt", recon, "--out", chain / "few-codes.h5"],
        ["encode", "--ckpt", recon, "--full", "--out", chain / "full-codes.h5"],
        [
            "fit-directions",
            chain / "few-codes.h5",
            "--method",
            "means,normal,pca",
            "--components",
            2,
            "--out",
            chain / "directions.safetensors",
        ],
        ["fit-directions", chain / "full-codes.h5", "--out", chain / "full-directions.safetensors"],
        ["fit-features", "--data", data, "--out", chain / "classifier.safetensors", *fast],
        ["train-vae", "--data", data, "--out", chain / "vae.safetensors", *fast],
    ):
        assert main([str(word) for word in words]) == 0
    images = genrev.open_data(data)
    photos = images.read(images.rows("test"))[:40]
    (chain / "photos").mkdir()
    for number, photo in enumerate(photos):
        Image.fromarray(photo[0]).save(chain / "photos" / f"{number:02}.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 30, 3), np.uint8)).save(chain / "me.jpg")
    return chain


@pytest.fixture
def edit(studio, run, tmp_path, monkeypatch):
    """Edit in an empty folder with the chain's model: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(*words, ckpt="recon", directions="directions"):
        known = ["--directions", studio / f"{directions}.safetensors"] if directions else []
        return run("edit", *words, "--ckpt", studio / f"{ckpt}.safetensors", *known, "--device", "cpu")

    return command


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def folder(path):
    """Return the pictures of a folder in the order of their names, (N, H, W)."""
    return np.stack([pixels(one) for one in sorted(path.glob("*.png"))])


MANY = ("--move", "0=+2", "--dim", "3=-1.5", "--toward", "7=0.5")


def test_strength_0_gives_every_photo_back_to_the_bit_with_exact_bits(studio, edit, tmp_path):
    """On a whole split, in blocks of 16 of 40 photos, so that the last one is filled up; with a file of another program's numbers."""
    words = [*MANY, "--like", studio / "photos/01.png", "--unlike", studio / "photos/02.png", "--strength", 0, "--batch", 16]
    code, out, err = edit(studio / "photos", *words, "--exact-bits", 16, "--out", "same")
    assert (code, out) == (0, "same\n"), err
    assert (folder(tmp_path / "same") == folder(studio / "photos")).all()
    code, _, err = edit(studio / "photos", *words, "--out", "float.npz")
    assert code == 0, err
    with np.load("float.npz") as file:
        assert list(file["names"]) == [f"{number:02}.png" for number in range(40)]
        assert (file["images"][:, 0] == folder(studio / "photos")).all()


def test_strength_0_is_the_photo_up_to_rounding_without_exact_bits(studio):
    import torch

    model = genrev.load(studio / "recon.safetensors", device="cpu")
    x = torch.from_numpy(folder(studio / "photos")).float()[:, None] / 255
    same = model.edit(x, move={"0": 3}, dim={1: -2}, toward="7", directions=studio / "directions.safetensors", strength=0)
    assert (same - x).abs().max() <= 1e-6


def test_a_dimension_moves_in_the_picture_by_what_was_asked(studio, edit, tmp_path):
    """The code of the edited picture, read from its 8-bit file, has moved by −0.5 standard deviations there and nowhere else."""
    assert edit(studio / "photos", "--dim", "2=-0.5", "--out", "moved.h5")[0] == 0
    model = genrev.load(studio / "recon.safetensors", device="cpu")
    before, after = (
        model.encode(images, full=True) for images in (folder(studio / "photos")[:, None].astype(np.uint8), genrev_images("moved.h5"))
    )
    std = model.prior.moments()[1][2].item()
    place = int(model.prior.active[2])
    inside = np.delete(after - before, place, axis=1)
    np.testing.assert_allclose(np.median((after - before)[:, place]), -0.5 * std, atol=0.1)
    assert np.abs(inside).mean() < 0.02


def genrev_images(path):
    import h5py

    with h5py.File(path) as file:
        return file["images"][:]


def test_photos_keep_their_names_and_the_header_says_what_was_done(studio, edit, tmp_path):
    code, out, err = edit(studio / "me.jpg", studio / "photos/03.png", *MANY)
    assert (code, out) == (0, "edited\n"), err
    assert sorted(path.name for path in (tmp_path / "edited").glob("*.png")) == ["03.png", "me.png"]
    header = read_any_header(tmp_path / "edited")
    assert header.kind == "samples"
    assert header.config["edits"] == list(MANY)
    assert {"ckpt", "pictures", "directions"} <= header.inputs.keys()
    assert "next: genrev report" in err
    assert edit(studio / "me.jpg", *MANY, "--out", "edited")[0] == 3, "edits of other photos are not replaced"


def test_one_photo_may_become_one_picture(studio, edit, tmp_path):
    assert edit(studio / "photos/05.png", "--dim", "0=+1", "--out", "me.png", directions=None)[0] == 0
    assert edit(studio / "photos/05.png", "--dim", "0=+1", "--out", "all", directions=None)[0] == 0
    assert (pixels("me.png") == pixels("all/05.png")).all()
    header, _ = read_picture(tmp_path / "me.png")
    assert header.config["shows"] == "edits"
    code, _, err = edit(studio / "photos", "--dim", "0=+1", "--out", "me.png", directions=None)
    assert (code, "40 photos are given; give a folder, or --steps" in err) == (2, True)


def test_a_row_goes_from_the_photo_to_all_of_the_edits(studio, edit, tmp_path):
    assert edit(studio / "photos/05.png", studio / "photos/06.png", *MANY, "--steps", 5)[:2] == (0, "edits.png\n")
    header, picture = read_picture(tmp_path / "edits.png")
    tiles = tiles_of(picture, header.config["layout"]).reshape(2, 6, 8, 8)
    assert (tiles[:, 0] == tiles[:, 1]).all(), "the first step is the photo"
    assert (tiles[:, 0] == [pixels(studio / f"photos/0{number}.png") for number in (5, 6)]).all()
    assert edit(studio / "photos/05.png", studio / "photos/06.png", *MANY, "--out", "all")[0] == 0
    assert np.abs(tiles[:, -1] - folder(tmp_path / "all")).max() <= 1
    assert np.abs(tiles[:, -1] - tiles[:, 0].astype(int)).max() > 20


def test_toward_a_picture_arrives_there(studio, edit, tmp_path):
    target = studio / "photos/07.png"
    assert edit(studio / "photos/05.png", "--toward", target, "--out", "a.png", directions=None)[0] == 0
    assert np.abs(pixels("a.png") - pixels(target)).max() <= 1
    assert edit(studio / "photos/05.png", "--toward", f"{target}=0.5", "--out", "b.png", directions=None)[0] == 0
    model = genrev.load(studio / "recon.safetensors", device="cpu")
    halfway = model.interpolate(studio / "photos/05.png", target, 3, full=True)[0, 1, 0]
    assert np.abs(pixels("b.png") - halfway).max() <= 1


def test_toward_a_class_gives_its_mean_on_the_active_dimensions(studio, edit, tmp_path):
    """From the directions: the mean of the codes of the training images of that class, up to the held-out ones."""
    from genrev_cli.files.directions import open_directions
    from genrev_cli.store.editing import class_mean

    codes = genrev.open_codes(studio / "few-codes.h5")
    directions = open_directions(studio / "directions.safetensors")
    for number in (0, 7):
        wanted = codes.codes[codes.labels == number].mean(0)
        spread = np.linalg.norm(codes.codes.mean(0) - wanted)
        assert np.linalg.norm(class_mean(directions, str(number)).numpy() - wanted) < 0.25 * spread
    model = genrev.load(studio / "recon.safetensors", device="cpu")
    x = folder(studio / "photos")[:2, None].astype(np.uint8)
    found = model.edit(x, toward=7, directions=directions.path, full=False)
    mean = model.decode(np.repeat(class_mean(directions, "7").numpy()[None], 2, 0))
    assert np.abs(found.astype(int) - mean).max() <= 1


def test_like_and_unlike_add_the_difference_of_codes(studio, edit):
    a, b = studio / "photos/01.png", studio / "photos/02.png"
    assert edit(b, "--like", a, "--unlike", b, "--out", "a.png", directions=None)[0] == 0
    assert np.abs(pixels("a.png") - pixels(a)).max() <= 1, "b + (a − b) = a"


def test_the_rest_of_the_latent_stays_in_full_and_goes_in_restricted(studio, edit, tmp_path):
    photo, small = studio / "photos/05.png", ("--dim", "0=+0.001", "--out")
    assert edit(photo, *small, "full.png", directions=None)[0] == 0
    assert edit(photo, *small, "restricted.png", "--latent", "restricted", directions=None)[0] == 0
    wanted = genrev.load(studio / "recon.safetensors", device="cpu").reconstruct(photo)[0, 0]
    assert np.abs(pixels("full.png") - pixels(photo)).max() <= 1
    assert np.abs(pixels("restricted.png") - wanted).max() <= 1
    assert np.abs(wanted.astype(int) - pixels(photo)).max() > 20


def test_a_share_of_the_rest_stays(studio, edit):
    """z' = r + rest·(z − r) + Δ, r being the projection of z on the prior's support; in Python too."""
    import torch

    model = genrev.load(studio / "recon.safetensors", device="cpu")
    images = folder(studio / "photos")[:5, None].astype(np.uint8)
    z = torch.from_numpy(model.encode(images, full=True))
    r = model.prior.restrict(z)
    expected = r + 0.25 * (z - r)
    expected[:, model.prior.active[2]] -= 1.5 * model.prior.moments()[1][2]
    made = model.edit(images, dim={2: -1.5}, rest=0.25)
    assert np.abs(made.astype(int) - model.decode(expected.numpy()).astype(int)).max() <= 1
    assert edit(*(studio / f"photos/{number:02}.png" for number in range(5)), "--dim", "2=-1.5", "--rest", 0.25, "--out", "some.h5")[0] == 0
    assert np.abs(genrev_images("some.h5").astype(int) - made).max() <= 1


def test_the_rest_fades_with_the_strength(studio, edit):
    """z' = z + s·(Δ − f·z on inactive dimensions): strength 0 gives the photo back, fade 1 and strength 1 leave only active dimensions."""
    import torch

    model = genrev.load(studio / "recon.safetensors", device="cpu")
    images = folder(studio / "photos")[:5, None].astype(np.uint8)
    z = torch.from_numpy(model.encode(images, full=True))
    rest = torch.ones(z.shape[1])
    rest[model.prior.active] = 0
    moved = torch.zeros(z.shape[1])
    moved[model.prior.active[2]] = -1.5 * model.prior.moments()[1][2]
    for fade, strength in ((0.5, 1), (1, 0.5), (1, 1), (0.25, 2)):
        made = model.edit(images, dim={2: -1.5}, fade=fade, strength=strength)
        expected = model.decode((z + strength * (moved - fade * rest * z)).numpy())
        assert np.abs(made.astype(int) - expected.astype(int)).max() <= 1
    assert (model.edit(images, dim={2: -1.5}, fade=1, strength=0) == images).all()
    words = [studio / f"photos/{number:02}.png" for number in range(5)] + ["--dim", "2=-1.5", "--fade", 0.25, "--strength", 2]
    assert edit(*words, "--out", "some.h5")[0] == 0
    assert np.abs(genrev_images("some.h5").astype(int) - made).max() <= 1
    assert read_any_header(Path("some.h5")).config["edits"] == ["--dim", "2=-1.5", "--fade", "0.25"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--dim", "0=1", "--fade", "1", "--strength", "2"), "--fade 1: with --strength 2, choose at most 0.5"),
        (("--dim", "0=1", "--fade", "1", "--strength=-1"), "--fade 1: with --strength -1, choose at most 0"),
        (("--dim", "0=1", "--fade", "2"), "--fade"),
        (
            ("--dim", "0=1", "--fade", "1", "--latent", "restricted"),
            "--fade 1: --latent restricted has dropped the other dimensions already",
        ),
        (("--toward", "photos/03.png", "--fade", "1"), "--fade 1: no dimension is left that could fade; leave it out"),
        (("--fade", "1"), "no edit is given"),
    ],
)
def test_a_fade_without_sense(studio, edit, tmp_path, words, problem):
    shutil.copytree(studio / "photos", tmp_path / "photos")
    code, _, err = edit("photos/00.png", *words, "--out", "one.png")
    assert code == 2
    assert problem in err


def test_row_numbers_choose_images_of_the_data(studio, edit, run, tmp_path):
    """The photos of the studio are the first images of the test split."""
    code, out, err = edit(3, 5, "--data", studio / "digits.h5", *MANY, "--out", "rows")
    assert (code, out) == (0, "rows\n"), err
    assert edit(studio / "photos/03.png", studio / "photos/05.png", *MANY, "--out", "files")[0] == 0
    assert sorted(path.name for path in (tmp_path / "rows").glob("*.png")) == ["test-3.png", "test-5.png"]
    assert (folder(tmp_path / "rows") == folder(tmp_path / "files")).all()
    assert edit(3, 5, *MANY, "--out", "rows")[0] == 0, "the data of the training is the default"
    code, _, err = edit(3, 6, *MANY, "--out", "rows")
    assert (code, "rows: was not made from the same photos" in err) == (3, True), err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((3, "me.jpg"), "3 and me.jpg: give either row numbers of the data or picture files"),
        ((400,), "has no image 400 in split 'test' (0 to 354)"),
        (("me.jpg", "--data", "digits.h5"), "--data digits.h5: has a meaning only with row numbers"),
        ((3, "--as-is"), "--as-is: has a meaning only with pictures"),
    ],
)
def test_rows_and_files_are_not_mixed(studio, edit, monkeypatch, words, sentence):
    monkeypatch.chdir(studio)
    code, _, err = edit(*words, "--dim", "1=1", "--out", studio / "never")
    assert (code, sentence in err) == (2, True), err


def test_measure_tells_what_was_asked_from_what_came_with_it(studio, edit):
    words = [studio / "photos", "--move", "pc1=+1", "--dim", "1=+0.5", "--measure", "--classifier", studio / "classifier.safetensors"]
    code, _, err = edit(*words, "--out", "measured")
    assert code == 0, err
    for title in ("attributes and dimensions", "classes", "pictures", "share changed by more than 8/255"):
        assert title in err
    measured = json.loads(edit(*words, "--out", "measured", "--json")[1])
    assert {"l1", "pixels_changed", "moved", "moved_dims", "class_probability"} <= measured.keys()
    assert 0 < measured["l1"] < 0.5
    assert 0 < measured["pixels_changed"] <= 1
    assert measured["moved"]["pc1"] == pytest.approx(1, abs=0.6), "clipping at black and white takes some away"
    assert sum(measured["class_probability"].values()) == pytest.approx(0, abs=1e-5)
    rows = measured["tables"][0]["rows"]
    assert (rows[0]["what"], rows[0]["asked"]) == ("pc1", "+1")
    nothing = json.loads(edit(*words, "--strength", 0, "--out", "none", "--json")[1])
    assert nothing["l1"] == nothing["pixels_changed"] == 0
    assert max(map(abs, nothing["moved"].values())) < 1e-5


def test_directions_of_the_full_latent_move_all_of_it(studio, edit):
    photo = studio / "photos/05.png"
    assert edit(photo, "--move", "0=+1", "--toward", "7=0.2", "--out", "a.png", directions="full-directions")[0] == 0
    code, _, err = edit(photo, "--move", "0=+1", "--latent", "restricted", "--out", "b.png", directions="full-directions")
    assert (code, "has directions of the full latent; leave --latent restricted out" in err) == (2, True)


def test_a_network_without_an_inverse_edits_its_reconstruction_and_says_so_once(studio, edit, tmp_path):
    words = (studio / "photos", "--dim", "0=+1", "--strength", 0, "--batch", 16)
    code, _, err = edit(*words, "--out", "vae", ckpt="vae", directions=None)
    assert code == 0, err
    assert err.count("has no exact inverse, so edits start from its reconstruction of a photo") == 1
    model = genrev.load(studio / "vae.safetensors", device="cpu")
    wanted = model.reconstruct(folder(studio / "photos")[:, None].astype(np.uint8), full=True)[:, 0]
    assert np.abs(folder(tmp_path / "vae") - wanted).max() <= 1


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "no edit is given; pass --move, --dim, --toward, --like with --unlike, or --rest"),
        (["--move", "hat=+1"], 2, "has no direction 'hat'; it has 0, 1, 2"),
        (["--dim", "4=+1"], 2, "--dim 4: "),
        (["--dim", "0"], 2, "--dim 0: write 3=-1.5, in standard deviations"),
        (["--toward", "eleven"], 2, "--toward eleven: is neither a class nor an existing picture file; the classes are 0, 1, 2"),
        (["--toward", "11=0.5"], 2, "--toward 11: is neither a class nor an existing picture file"),
        (["--toward", "photos"], 2, "photos: is a folder or an archive, but an edit needs a single picture"),
        (["--like", "gone.png", "--unlike", "gone.png"], 3, "gone.png: no such file or folder"),
        (["--dim", "0=+1", "--steps", "1"], 2, "--steps 1: a row goes from none to all of the edits; give at least 2"),
        (["--dim", "0=+1", "--steps", "3", "--out", "folder"], 2, "--out folder: its name must end in .png"),
        (["--dim", "0=+1e300"], 2, "--dim 0=1e+300: must be from -1e+06 to 1e+06"),
        (["--dim", "0=+1", "--strength", "1e300"], 4, "05.png: the edit gives values that are not finite; choose a smaller strength"),
        (["--dim", "0=+1", "--classifier", "digits.h5"], 3, "digits.h5: "),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_sentence(studio, edit, monkeypatch, words, code, sentence):
    monkeypatch.chdir(studio)
    found, out, err = edit(studio / "photos/05.png", *words, *(() if "--out" in words else ("--out", studio / "refused.png")))
    assert (found, out) == (code, ""), err
    assert sentence in err


def test_a_class_needs_directions_that_know_it(studio, edit):
    code, _, err = edit(studio / "me.jpg", "--toward", "7", directions=None)
    assert (code, "--toward 7: the mean of this class is not known; run 'genrev fit-directions'" in err) == (2, True)
    code, _, err = edit(studio / "me.jpg", "--move", "7=+1", directions=None)
    assert (code, "--move 7=+1: needs directions of 'genrev fit-directions'; pass --directions FILE" in err) == (2, True)


def test_a_file_that_is_called_like_a_class_is_not_guessed(studio, edit, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "7", "PNG")
    code, _, err = edit(studio / "me.jpg", "--toward", "7")
    assert (code, "--toward 7: is a class, and there is a file of that name; write ./7 for the file" in err) == (2, True)
    assert edit(studio / "me.jpg", "--toward", "./7", "--out", "a.png")[0] == 0


def test_python_and_the_command_make_the_same_pictures(studio, edit, tmp_path):
    assert edit(studio / "me.jpg", *MANY, "--out", "me.png")[0] == 0
    model = genrev.load(studio / "recon.safetensors", device="cpu")
    found = model.edit(studio / "me.jpg", move={"0": 2}, dim={3: -1.5}, toward={"7": 0.5}, directions=studio / "directions.safetensors")
    assert (found[0, 0] == pixels("me.png")).all()


def test_the_words_in_the_header_make_the_same_picture_again(studio, edit, tmp_path):
    """What `words_of` writes is what a page that edits proposes to copy."""
    assert edit(studio / "me.jpg", *MANY, "--out", "me.png")[0] == 0
    header, first = read_picture(tmp_path / "me.png")
    edits = parsed(move=["0=+2"], dims=["3=-1.5"], toward=["7=0.5"])
    assert words_of(edits) == header.config["edits"]
    assert edit(studio / "me.jpg", *header.config["edits"], "--out", "again.png")[0] == 0
    assert (read_picture(tmp_path / "again.png")[1] == first).all()


def test_the_commands_of_the_page_run(studio, run, tmp_path, monkeypatch):
    """docs/editing.md, "Edit a photo", in the folder of a reader with a model of digits."""
    page = (Path(__file__).parents[2] / "docs/editing.md").read_text(encoding="utf-8")
    section = page.split("## Edit a photo")[1].split("\n## ")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", section, re.S) for line in block.splitlines()]
    monkeypatch.chdir(tmp_path)
    shutil.copy(studio / "adversarial.safetensors", tmp_path)
    shutil.copy(studio / "digits.h5", tmp_path / "mnist.h5")
    shutil.copytree(studio / "photos", tmp_path / "photos")
    for number, name in enumerate(("me", "you", "other")):
        shutil.copy(studio / f"photos/0{number}.png", tmp_path / f"{name}.png")
    assert run("fit-directions", studio / "codes.h5", "--method", "means", "--out", "directions.safetensors")[0] == 0
    for line in commands:
        words = shlex.split(line)[1:]
        short = ("--steps", 2, "--log-every", 50) if words[0] == "fit-features" else ()
        code, _, err = run(*words, *short)
        assert code == 0, f"{line}: {err}"
    assert len(commands) == 8
    assert run("report", "adversarial.safetensors", "toward-7.png", "edited", "--out", "page.html")[0] == 0
    assert "Each row is a photo: the original, then 9 steps" in Path("page.html").read_text(encoding="utf-8")
