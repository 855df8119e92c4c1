"""A recorded tour as a file: its pictures are those of the session, nothing leads out of it, and it is made and replaced by the rules."""

import base64
import io
import json
import re
import shlex
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from genrev_cli.cli import main
from genrev_cli.errors import DivergedError, SettingError, UsageError
from genrev_cli.explore import tour_page
from genrev_cli.explore.asked import Changes
from genrev_cli.explore.session import Session
from genrev_cli.explore.sprites import sprite
from genrev_cli.explore.tour import chosen, images_of, ranked, shares, sliders_of, strengths
from genrev_cli.explore.tour_page import FRAMES, PICTURE, commands_of, make_page
from genrev_cli.files.page import read_page
from genrev_cli.progress import SILENT
from genrev_cli.settings.explore import ExploreSettings

SPRITE = re.compile(r'<img id="([\w-]+)" alt="" src="data:image/(\w+);base64,([^"]+)">')


def nothing(message):
    """Take a note."""


def frames_in(html, height):
    """Return name → pictures (n, H, W) or (n, H, W, 3) of every sprite in a page."""
    found = {}
    for name, _, data in SPRITE.findall(html):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        found[name] = pixels.reshape(-1, height, *pixels.shape[1:])
    return found


def table_in(html):
    return json.loads(re.search(r'<script type="application/json" id="tour">(.*?)</script>', html, re.S)[1])


@pytest.fixture(scope="module")
def tour(folder):
    """A tour of three images with five steps, as the command writes it."""
    out = folder / "tour.html"
    words = ["explore", "--ckpt", folder / "recon.safetensors", "--directions", folder / "directions.safetensors", "--record", out]
    assert main([str(word) for word in [*words, "--images", 3, "--steps", 5, "--dims", 2, "--device", "cpu"]]) == 0
    return out


def test_every_picture_is_that_of_the_session(tour, opened):
    session = Session(opened(dims=2, points=2000), SILENT)
    found, table = frames_in(read_page(tour)[1], 8), table_in(read_page(tour)[1])
    asked, sliders = images_of(session, 3), sliders_of(session, 5, nothing)
    assert [slider.group for slider in sliders] == ["rest"] + ["move"] * 12 + ["toward"] * 10 + ["dims"] * 2
    assert len(found) == 3 * (1 + len(sliders) + 1)
    for i, number in enumerate(map(session.draw, asked)):
        assert (found[f"photo-{i}"] == session.photos.get(number).pixels[:, 0].numpy()).all()
        assert table["photos"][i] == json.loads(json.dumps({**session.summary(number), "photo": table["photos"][i]["photo"]}))
        for j, slider in enumerate(sliders):
            shown = found[f"edit-{i}-{j}"].astype(int)
            alone = np.stack([session.edited(number, slider.changes(step))[0].numpy() for step in range(5)])
            assert np.abs(shown - alone).max() <= 1, slider  # 1: pictures that are decoded together are rounded differently
            assert (shown == session.variants(number, [slider.changes(step) for step in range(5)])[:, 0].numpy()).all()
            assert slider.changes(slider.start) == Changes()
            assert (shown[slider.start] != shown[0]).any() or (shown[slider.start] != shown[-1]).any()
        way = session.path(asked[i], asked[(i + 1) % 3], path="linear", rest=1.0, frames=FRAMES)
        assert (found[f"path-{i}"] == way[:, 0].numpy()).all()
        assert np.abs(found[f"path-{i}"][0].astype(int) - found[f"photo-{i}"][0]).max() <= 1


def test_the_command_of_a_step_makes_its_picture(tour, folder, tmp_path, monkeypatch):
    html = read_page(tour)[1]
    found, table = frames_in(html, 8), table_in(html)
    monkeypatch.chdir(folder)  # commands name files without their folders
    name = table["photos"][1]["name"]
    Image.fromarray(found["photo-1"][0]).save(tmp_path / name)
    for j, slider in enumerate(table["sliders"]):
        for step in (0, 3):
            words = shlex.split(slider["commands"][step].replace(PICTURE, name))
            assert bool(words) == (step != slider["start"])
            if not words or j % 6:
                continue
            words[2] = str(tmp_path / words[2])
            assert main([*words[1:], "--out", str(tmp_path / "made.png"), "--device", "cpu", "--force"]) == 0
            made = np.asarray(Image.open(tmp_path / "made.png")).astype(int)
            assert np.abs(made - found[f"edit-1-{j}"][step]).max() <= 1, slider


def test_a_name_in_place_of_the_picture_gives_the_sessions_own_command(session):
    slider = sliders_of(session, 5, nothing)[1]
    name = "test-3.png"
    words = commands_of(session, slider)[0].replace(PICTURE, name)
    number = session.draw(images_of(session, 1)[0])
    photo = replace(session.photos.get(number), name=name)
    full = session.command(session.photos.add(photo), slider.changes(0))
    assert words == full.replace(f"{session.model.path.parent}/", "")


def test_nothing_in_the_page_leads_out_of_it(tour):
    html = read_page(tour)[1]
    text = SPRITE.sub("", html)
    text = text.replace(re.search(r'<link rel="icon" href="(data:[^"]*)">', text)[1], "")
    assert not re.search(r"https?:|//\w|url\(|@import|import |fetch\(|XMLHttp|WebSocket", text)
    assert set(re.findall(r'(?:src|href)="(\w+:)', html)) == {"data:"}
    assert "default-src 'none'; img-src data:" in html
    script = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(script) == 1
    assert tour_page._digest(script[0]) in html


def test_no_path_of_this_machine_and_a_stripped_copy_is_the_same(tour, folder, tmp_path, capsys):
    assert str(folder) not in tour.read_text(encoding="utf-8")
    assert main(["info", str(tour), "--verify"]) == 0
    assert main(["info", str(tour), "--strip", "--out", str(tmp_path / "copy.html")]) == 0
    assert (tmp_path / "copy.html").read_bytes() == tour.read_bytes()
    header = read_page(tour)[0]
    assert (header.kind, header.config["images"], header.config["steps"]) == ("tour", 3, 5)
    assert set(header.inputs) == {"ckpt", "directions", "data"}
    assert {record["path"] for record in header.inputs.values()} == {"recon.safetensors", "directions.safetensors", "digits.h5"}
    assert main(["report", str(tour), "--out", str(tmp_path / "report.html")]) == 3
    assert "a tour already" in capsys.readouterr().err


def run(capsys, *words):
    capsys.readouterr()
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


SMALL = ("--images", 1, "--steps", 3, "--dims", 1, "--device", "cpu")


def test_it_needs_no_server_and_replaces_only_its_own(folder, capsys, tmp_path, monkeypatch):
    for name in ("starlette", "uvicorn"):
        monkeypatch.setitem(sys.modules, name, None)  # importing them fails
    for name in ("app", "server", "safety"):
        monkeypatch.delitem(sys.modules, f"genrev_cli.explore.{name}", raising=False)
    out, ckpt, other = tmp_path / "t.html", folder / "recon.safetensors", tmp_path / "other.safetensors"
    code, told, _ = run(capsys, "explore", "--ckpt", ckpt, "--record", out, *SMALL, "--json")
    assert code == 0
    told = json.loads(told)
    assert {key: told[key] for key in ("out", "images", "sliders", "steps", "pictures", "paths")} == {
        "out": str(out), "images": 1, "sliders": 2, "steps": 3, "pictures": 9, "paths": False,
    }  # fmt: skip
    assert told["megabytes"] == round(out.stat().st_size / 1e6, 2)
    before = out.read_bytes()
    assert run(capsys, "explore", "--ckpt", ckpt, "--record", out, *SMALL)[0] == 0, "the same again"
    words = ("pretrain-recon", "--data", folder / "digits.h5", "--recipe", folder / "tiny.toml", "--device", "cpu")
    assert run(capsys, *words, "--steps", 2, "--out", other)[0] == 0
    kept = out.read_bytes()
    code, _, err = run(capsys, "explore", "--ckpt", other, "--record", out, *SMALL)
    assert (code, "another --record, or pass --force" in err, out.read_bytes() == kept) == (3, True, True)
    assert run(capsys, "explore", "--ckpt", other, "--record", out, *SMALL, "--force")[0] == 0
    assert SPRITE.findall(out.read_text(encoding="utf-8")) != SPRITE.findall(before.decode())


def test_paths_follow_a_map_or_a_flow_that_is_given(folder, capsys, tmp_path):
    words = ("--target-error", 0.9, "--max-samples", 100, "--rule", "nearest", "--device", "cpu")
    assert run(capsys, "fit-ot", folder / "codes.h5", *words, "--out", tmp_path / "ot.safetensors")[0] == 0
    words = ("--steps", 5, "--batch", 64, "--width", 16, "--blocks", 1, "--device", "cpu")
    assert run(capsys, "fit-flow", folder / "codes.h5", *words, "--out", tmp_path / "flow.safetensors")[0] == 0
    samplers = {"straight": (), "mapped": ("--ot", tmp_path / "ot.safetensors"), "flowing": ("--flow", tmp_path / "flow.safetensors")}
    made = {}
    for name, given in samplers.items():
        words = ("--ckpt", folder / "recon.safetensors", *given, *SMALL, "--images", 2, "--record", tmp_path / f"{name}.html")
        assert run(capsys, "explore", *words)[0] == 0
        header, made[name] = read_page(tmp_path / f"{name}.html")
        assert ("sampler" in header.inputs) == (name != "straight")
    assert "follow a straight line" in made["straight"]
    assert "follow the transport map" in made["mapped"]
    assert "follow the flow" in made["flowing"]
    straight, mapped, flowing = (frames_in(html, 8) for html in made.values())
    assert (straight["photo-0"] == mapped["photo-0"]).all()
    assert (straight["path-0"] != mapped["path-0"]).any()
    assert (straight["path-0"] != flowing["path-0"]).any()
    words = ("--ckpt", folder / "recon.safetensors", *samplers["mapped"], *samplers["flowing"], "--record", tmp_path / "both.html")
    code, _, err = run(capsys, "explore", *words)
    assert (code, "both say what samples are drawn from; leave one of them out" in err) == (2, True)


def test_targets_that_are_refused(folder, capsys, tmp_path):
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    ckpt = folder / "recon.safetensors"
    code, _, err = run(capsys, "explore", "--ckpt", ckpt, "--record", tmp_path / "mine.html", *SMALL)
    assert (code, "not a file of kind 'tour'" in err, "another --record" in err) == (3, True, True)
    code, _, err = run(capsys, "explore", "--ckpt", ckpt, "--record", tmp_path / "tour.png", *SMALL)
    assert (code, "its name must end in .html" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--record", "t.html", "--port", 8000), "--port 8000: has no meaning with --record, which serves no page; leave one of them out"),
        (("--record", "t.html", "--host", "0.0.0.0"), "--host 0.0.0.0: has no meaning with --record"),
        (("--record", "t.html", "--no-open"), "--no-open: has no meaning with --record"),
        (("--record", "t.html", "--points", 10), "--points 10: has no meaning with --record"),
        (("--images", 4), "--images 4: has a meaning only with --record FILE.html; add it, or leave --images out"),
        (("--steps", 5), "--steps 5: has a meaning only with --record"),
        (("--force",), "--force: has a meaning only with --record"),
        (("--record", "t.html", "--steps", 4), "--steps 4: must be odd"),
        (("--record", "t.html", "--images", 0), "--images 0: must be at least 1"),
    ],
)
def test_options_that_do_not_go_together(folder, capsys, words, sentence):
    code, out, err = run(capsys, "explore", "--ckpt", folder / "recon.safetensors", *words)
    assert (code, out, err.count("error:")) == (2, "", 1)
    assert sentence in err


def test_the_settings_themselves_refuse_them(tmp_path):
    with pytest.raises(UsageError, match="--port 1: has no meaning"):
        ExploreSettings(record=tmp_path / "t.html", port=1)
    with pytest.raises(SettingError, match="must be odd"):
        ExploreSettings(record=tmp_path / "t.html", steps=6)


@pytest.mark.parametrize("count", [1, 6, 10, 14])
def test_images_of_different_classes_evenly_over_the_split(opened, count):
    data = opened().data
    found = chosen(data, "test", count)
    labels = data.labels[data.rows("test")]
    assert len(set(found)) == count
    assert len(set(labels[found])) == min(count, 10)
    distances = np.abs(np.array(found) - np.linspace(0, len(labels) - 1, count))
    assert distances.max() < 80  # of 355: the nearest of the class
    unlabelled = replace(data, labels=np.full_like(data.labels, -1))
    assert chosen(unlabelled, "test", 3) == [0, (len(labels) - 1) // 2, len(labels) - 1]
    assert sorted(chosen(data, "test", 10_000)) == list(range(len(labels)))


def test_without_data_the_images_are_samples(opened):
    session = Session(opened(data=None), SILENT)
    page = make_page(session, images_of(session, 2), sliders_of(session, 3, nothing)[-2:], path="linear", progress=SILENT)
    assert [photo["about"] for photo in table_in(page.html)["photos"]] == [
        f"sample {i} of the prior with seed 0, temperature 1" for i in range(2)
    ]
    assert page.paths


class Notes(type(SILENT)):
    """Keeps notes."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def test_paths_are_left_out_of_a_large_page_with_a_note(session, monkeypatch):
    notes = Notes()
    monkeypatch.setattr(tour_page, "LIMIT", 100)
    page = make_page(session, images_of(session, 2), sliders_of(session, 3, nothing)[:1], path="linear", progress=notes)
    assert not page.paths
    assert "path-0" not in page.html
    assert 'id="frame"' not in page.html
    assert len(notes.notes) == 1
    assert "no paths between its images" in notes.notes[0]


def test_a_large_page_names_the_options_that_shrink_it(folder, capsys, tmp_path, monkeypatch):
    from genrev_cli.stages import explore

    monkeypatch.setattr(explore, "LIMIT", 100)
    _, _, err = run(capsys, "explore", "--ckpt", folder / "recon.safetensors", "--record", tmp_path / "t.html", *SMALL)
    assert "fewer --images, --steps or --dims make it smaller" in err


def test_only_some_of_many_directions_the_most_accurate_first(opened):
    directions = opened().directions
    tables = [{**table, "name": f"d{i}", "accuracy": None if i == 3 else i / 20} for i, table in enumerate(directions.about)]
    assert [table["name"] for table in ranked(tables)] == [f"d{i}" for i in range(11, -1, -1) if i != 3] + ["d3"]
    notes = []
    wide = Session(opened(directions=replace(directions, about=directions.about * 2)), SILENT)
    assert sum(slider.group == "move" for slider in sliders_of(wide, 3, notes.append)) == 12
    assert notes == ["the tour shows 12 of 24 directions, the most accurate first", "the tour shows 12 of 20 classes"]


def test_steps_have_the_values_that_commands_show():
    assert strengths(13) == (-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3)
    assert shares(5) == (0, 0.25, 0.5, 0.75, 1)
    for steps in range(3, 42, 2):
        assert strengths(steps)[steps // 2] == 0
        assert strengths(steps) == tuple(-value for value in reversed(strengths(steps)))
        assert all(value == round(value, 2) for value in (*strengths(steps), *shares(steps)))


def test_a_picture_that_is_not_finite_names_image_and_slider(session, monkeypatch):
    def diverged(number, several):
        raise DivergedError("values")

    monkeypatch.setattr(session, "variants", diverged)
    with pytest.raises(DivergedError, match=r"test-\d+.png: slider 'Rest of the latent' gives values that are not finite"):
        make_page(session, images_of(session, 1), sliders_of(session, 3, nothing), path="linear", progress=SILENT)


def waves(side):
    """A smooth picture in colour, as photos are, (n, 3, H, W)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    shades = [torch.sin(x / 9 + step / 4) + torch.cos(y / (7 + c)) for step in range(5) for c in range(3)]
    noise = torch.randint(-4, 5, (5, 3, side, side), generator=torch.Generator().manual_seed(0))
    return ((torch.stack(shades).reshape(5, 3, side, side) * 50 + 128) + noise).clamp(0, 255).to(torch.uint8)


def test_colour_is_compressed_with_small_losses_if_that_is_much_smaller():
    pictures = waves(64)
    exact, lossy = sprite(pictures, exact=True), sprite(pictures, exact=False)
    assert exact.startswith("data:image/png")
    assert lossy.startswith("data:image/webp")
    assert len(lossy) < 0.6 * len(exact)

    def pixels(uri):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), int)

    whole = pictures.permute(0, 2, 3, 1).reshape(5 * 64, 64, 3).numpy()
    assert (pixels(exact) == whole).all()
    assert np.abs(pixels(lossy) - whole).mean() < 8
    gray, noise = pictures[:, :1], torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    assert sprite(gray, exact=False).startswith("data:image/png"), "gray is exact"
    assert sprite(noise, exact=False).startswith("data:image/png"), "noise would lose much"


def test_names_of_others_cannot_leave_the_data(opened):
    """A class may be called anything."""
    evil = "</script><script>alert(1)</script>"
    data = opened().data
    config = {**data.header.config, "classes": [evil, *data.header.config["classes"][1:]]}
    session = Session(opened(data=replace(data, header=replace(data.header, config=config))), SILENT)
    page = make_page(session, images_of(session, 1), [], path="linear", progress=SILENT)
    assert evil not in page.html
    assert page.html.count("<script>") == 1
    assert evil in table_in(page.html)["photos"][0]["about"]
