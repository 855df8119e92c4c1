"""interpolate --out film.gif: films through pictures, from words to files that other programs read."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

import genrev_cli as genrev
from genrev_cli.files.any import content_of, read_any_header
from genrev_cli.files.films import film_digest
from genrev_cli.files.pictures import gap_of, read_picture
from genrev_cli.files.sheets import tiles_of

FAST = ("--seconds", "0.5", "--fps", "10", "--scale", "2", "--device", "cpu")


@pytest.fixture
def studio(chain, tmp_path, monkeypatch):
    """An empty folder with a model and three pictures of the digits."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(chain / "adversarial.safetensors", tmp_path)
    data = genrev.open_data(chain / "digits.h5")
    for photo, name in zip(data.read(data.rows("test"))[:3], ("a", "b", "c"), strict=True):
        Image.fromarray(photo[0]).save(f"{name}.png")
    return tmp_path


def film(run, out, *words, ends=("a.png", "b.png", "c.png")):
    return run("interpolate", *ends, "--ckpt", "adversarial.safetensors", *FAST, "--out", out, *words)


def frames(path):
    """Return the frames of a film without magnification, (T, 8, 8), and the duration of each in ms."""
    with Image.open(path) as image:
        found = [(np.asarray(frame.convert("L"))[::2, ::2].astype(int), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
    return np.stack([pixels for pixels, _ in found]), [duration for _, duration in found]


def picture(name):
    return np.asarray(Image.open(f"{name}.png")).astype(int)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_film_goes_through_all_pictures_and_back(studio, run, suffix):
    """Of the full latent, so that it shows the pictures themselves when it rests at them."""
    code, out, err = film(run, f"film.{suffix}", "--latent", "full")
    assert (code, out) == (0, f"film.{suffix}\n"), err
    assert err.endswith("next: genrev explore --ckpt adversarial.safetensors\n")
    shown, durations = frames(f"film.{suffix}")
    assert len(shown) == 3 * 5
    assert sum(durations) == 1500
    for number, name in enumerate("abc"):
        assert np.abs(shown[5 * number] - picture(name)).max() <= 1
    back = np.abs(shown[-1] - picture("a")).mean()
    assert back < np.abs(shown[-2] - picture("a")).mean(), "the last transition leads to the first picture"


def test_without_loop_it_ends_at_the_last_picture(studio, run):
    assert film(run, "film.webp", "--latent", "full", "--no-loop")[0] == 0
    shown, _ = frames("film.webp")
    assert len(shown) == 2 * 5 + 1
    assert np.abs(shown[-1] - picture("c")).max() <= 1


def test_it_starts_slowly_unless_it_must_not(studio, run):
    words = ("--latent", "full", "--no-loop", "--seconds", "1")
    assert film(run, "slow.webp", *words)[0] == film(run, "even.webp", *words, "--no-ease")[0] == 0
    slow, even = (np.abs(np.diff(frames(f"{name}.webp")[0], axis=0)).mean((1, 2)) for name in ("slow", "even"))
    assert slow[0] < 0.5 * even[0]
    assert slow[5] > 1.2 * even[5]


def test_frames_are_files_of_their_own(studio, run):
    code, _, err = film(run, "frames/", "--latent", "full")
    assert (code, err.splitlines()[-1]) == (0, "next: genrev explore --ckpt adversarial.safetensors"), "a page does not show frames"
    assert film(run, "film.gif", "--latent", "full")[0] == 0
    shown, files = frames("film.gif")[0], sorted(Path("frames").glob("*.png"))
    assert len(files) == 15
    assert all((np.asarray(Image.open(file))[::2, ::2] == frame).all() for file, frame in zip(files, shown, strict=True))


@pytest.mark.parametrize("suffix", ["gif", "webp", "mp4"])
def test_the_header_of_a_film_says_how_it_was_made_but_not_where(studio, run, suffix):
    if suffix == "mp4":
        pytest.importorskip("imageio_ffmpeg")
    path = studio / f"film.{suffix}"
    assert film(run, path)[0] == 0
    header = read_any_header(path)
    assert (header.kind, header.config["fps"], header.config["n"]) == ("film", 10, 15)
    assert header.inputs["ckpt"]["path"] == "adversarial.safetensors"
    assert str(studio).encode() not in path.read_bytes()
    assert content_of(path, header) == header.sha256
    assert run("info", path, "--verify")[0] == 0
    assert run("info", path, "--strip", "--out", f"copy.{suffix}")[0] == 0
    assert film(run, path)[0] == 0, "the same film is made again"
    assert read_any_header(path).sha256 == header.sha256
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert run("info", path, "--verify")[0] == 3


def test_films_of_other_pictures_are_other_films(studio, run):
    assert film(run, "a.gif")[0] == film(run, "b.gif", ends=("a.png", "c.png"))[0] == 0
    assert film_digest(Path("a.gif")) != film_digest(Path("b.gif"))


def test_an_mp4_without_its_package_is_one_sentence(studio, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    code, out, err = film(run, "film.mp4")
    assert (code, out) == (5, "")
    assert "an .mp4 needs the package imageio-ffmpeg; install it with: pip install 'genrev-cli[video]', or write a .gif or .webp" in err


def test_an_mp4_of_odd_sides_is_written(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    from genrev_cli.files.films import write_film
    from genrev_cli.files.header import Header

    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 33, 35), np.uint8)
    write_film(tmp_path / "odd.mp4", frames, 10, Header("film", {}, ""))
    header = read_any_header(tmp_path / "odd.mp4")
    assert header.sha256 == film_digest(tmp_path / "odd.mp4")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "x.gif", "--steps", "5"], "--steps: is for a .png picture, and --out x.gif is none"),
        (["--out", "x.gif", "--no-labels"], "--no-labels: is for a .png picture"),
        (["--out", "x.png", "--fps", "12"], "--fps: is for a film (.gif, .webp, .mp4, or a folder of frames), and --out x.png is none"),
        (["--out", "x.png", "--no-loop"], "--no-loop: is for a film"),
        (["--out", "x.gif", "--fps", "0"], "--fps 0: must be at least 1"),
        (["--out", "x.avi"], "--out x.avi: its name must end in .png"),
    ],
)
def test_settings_of_films_and_of_rows_are_not_mixed_up(studio, run, words, sentence):
    code, out, err = run("interpolate", "a.png", "b.png", "--ckpt", "adversarial.safetensors", *words)
    assert (code, out) == (2, "")
    assert sentence in err


def test_a_film_needs_pictures(studio, run):
    code, _, err = film(run, "film.gif", ends=("a.png",))
    assert (code, "--out film.gif: a film needs at least two pictures" in err) == (2, True)


def test_the_commands_of_the_page_run(studio, chain, run):
    """docs/editing.md, "Films"."""
    page = (Path(__file__).parents[2] / "docs/editing.md").read_text(encoding="utf-8")
    section = page.split("## Films")[1].split("\n## ")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", section, re.S) for line in block.splitlines()]
    for name, source in (("me", "a"), ("you", "b"), ("other", "c")):
        shutil.copy(f"{source}.png", f"{name}.png")
    assert run("encode", "--ckpt", "adversarial.safetensors", "--data", chain / "digits.h5", "--out", "codes.h5")[0] == 0
    assert run("fit-directions", "codes.h5", "--method", "means", "--of", "3,7")[0] == 0
    for line in commands:
        code, _, err = run(*line.split()[1:])
        assert code == 0, f"{line}: {err}"
    assert len(commands) == 3


def traverse(run, out, *words):
    return run("traverse", "--ckpt", "adversarial.safetensors", "--dim", 1, "--dim", 3, *FAST, "--out", out, *words)


def test_a_film_of_dimensions_goes_to_the_other_end_and_back(studio, run):
    """Its frames have a tile for each row of the picture: at the beginning the first column, in the middle the last."""
    words = ("--ckpt", "adversarial.safetensors", "--dim", 1, "--dim", 3, "--device", "cpu", "--out", "rows.png", "--steps", 5)
    assert run("traverse", *words)[0] == 0
    header, rows = read_picture(Path("rows.png"))
    tiles = tiles_of(rows, header.config["layout"]).reshape(2, 5, 8, 8).astype(int)
    assert traverse(run, "film.webp", "--no-labels")[0] == 0
    with Image.open("film.webp") as image:
        shown = [np.asarray(frame.convert("L")).astype(int) for frame in ImageSequence.Iterator(image)]
    assert len(shown) == 2 * 5
    layout = {"scale": 2, "gap": gap_of(2), "left": 0, "top": 0, "columns": 2, "tile": [8, 8]}
    first, last = (tiles_of(shown[number][None], layout)[:, 0] for number in (0, 5))
    assert np.abs(first - tiles[:, 0]).max() <= 1
    assert np.abs(last - tiles[:, -1]).max() <= 1
    assert np.abs(shown[1] - shown[-1]).max() <= 1, "the way back is the way there"


def test_a_film_names_its_rows(studio, run):
    assert traverse(run, "plain.gif", "--scale", 8, "--no-labels")[0] == traverse(run, "named.gif", "--scale", 8)[0] == 0
    with Image.open("plain.gif") as plain, Image.open("named.gif") as named:
        assert named.height > plain.height
        assert named.width == plain.width


@pytest.mark.parametrize(
    ("out", "words", "sentence"),
    [
        ("film.gif", ("--steps", 5), "--steps: is for a .png picture"),
        ("rows.png", ("--no-ease",), "--no-ease: is for a film (.gif, .webp, .mp4, or a folder of frames)"),
    ],
)
def test_settings_of_the_other_kind_of_traversal_are_refused(studio, run, out, words, sentence):
    found = run("traverse", "--ckpt", "adversarial.safetensors", "--device", "cpu", "--out", out, *words)
    assert (found[0], sentence in found[2]) == (2, True), found
