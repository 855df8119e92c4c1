"""compare on networks that train in milliseconds: one page, the same numbers as fid's, and only what belongs together."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from browser import assert_legible, in_a_browser, look, shown

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.page import page_digest, read_page
from genrev_cli.progress import Progress
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions
from genrev_cli.stages.compare import CompareOptions, compare

OPTIONS = CompareOptions(n=16, features=FeatureOptions("pixel"), device="cpu", metrics=("fid", "recon"))


@pytest.fixture
def models(tmp_path, recon):
    """Two seeds of one training, and one of another."""
    runs = {"same-seed0": {}, "same-seed1": {"seed": 1}, "wide": {"lr": 0.03}}
    return [str(recon(tmp_path / f"{name}.safetensors", steps=3, **settings).out) for name, settings in runs.items()]


@pytest.fixture
def page(tmp_path, models):
    return compare([*models[:2], f"<b>={models[2]}"], tmp_path / "compare.html", OPTIONS).out


def test_values_are_those_that_fid_measures(tmp_path, models, data):
    """The main metric and L1 of each checkpoint, and their mean in a row of two seeds."""
    result = compare(models, tmp_path / "compare.html", OPTIONS)
    alone = {}
    for model in models:
        options = FidOptions(str(data), n=16, metrics=("fid", "recon"), features=OPTIONS.features, ckpt=Path(model), device="cpu")
        alone[model] = measure(None, options, Progress()).numbers
    for found in result.numbers["checkpoints"]:
        assert (found["FD-pixel"], found["L1"]) == (alone[found["path"]]["value"], alone[found["path"]]["L1"])
    rows = {row["model"]: row for row in result.numbers["tables"][0]["rows"]}
    assert {name: row["k"] for name, row in rows.items()} == {"same": 2, "wide": 1}
    assert rows["same"]["L1"] == pytest.approx(sum(alone[model]["L1"] for model in models[:2]) / 2, rel=1e-12)
    assert (result.numbers["conditions"]["n"], result.numbers["conditions"]["split"]) == (16, "test")


def test_the_page_shows_the_table_the_pictures_and_the_curves(page):
    header, html = read_page(page)
    text = shown(html)
    for fact in (
        "2 models on digits",
        "16 of each model, seed 0",
        "3 test images of data.h5",
        "FD-pixel ↓ (not an FID)",
        "0, 1 k = 2",
        "same",
    ):
        assert fact in text, fact
    assert re.findall(r'<section id="(\w+)"', html) == [
        "table",
        "samples",
        "reconstructions",
        "curves",
        "differences",
        "commands",
        "machine",
    ]
    assert len(re.findall(r'<img [^>]*alt="[^"]+"', html)) == 2 + 3 + 3  # a grid for each row; originals and a strip for each row, twice
    assert [heading for heading in ("Held-out images", "Training") if f"<h3>{heading}</h3>" in html] == [
        "Held-out images",
        "Training",
    ]
    swd = html[html.index('aria-label="Relative SWD') :].split("</svg>")[0]
    assert len(re.findall(r'<g class="line', swd)) == 3  # each seed has a line
    assert len(set(re.findall(r'<g class="line (c\d)', swd))) == 2  # in its row's colour
    assert "pretrain-recon: lr" in text
    assert header.sha256 == page_digest(html)
    assert len(header.inputs) == 3
    assert header.config["tables"][0]["rows"][0]["FD-pixel"] <= header.config["tables"][0]["rows"][1]["FD-pixel"]


def test_text_of_users_cannot_become_markup_and_nothing_is_loaded(page):
    html = page.read_text(encoding="utf-8")
    assert html.count("<script") == 1
    assert "<b>=" not in html
    assert "&lt;b&gt;" in html
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', html))
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r'id="genrev">.*?</script>', "", html, flags=re.DOTALL))


def test_models_that_do_not_belong_together_are_refused(tmp_path, models, recon, write_images):
    other = recon(tmp_path / "other.safetensors", steps=1, data=write_images(tmp_path / "other.h5", seed=1)).out
    large = recon(tmp_path / "large.safetensors", steps=1, data=write_images(tmp_path / "large.h5", (1, 12, 12))).out
    for stranger, words in ((other, "other.h5"), (large, "1×12×12")):
        with pytest.raises(FileError, match=words):
            compare([models[0], str(stranger)], tmp_path / "compare.html", OPTIONS)
    with pytest.raises(FileError, match="kind 'data'|safetensors"):
        compare([models[0], str(tmp_path / "other.h5")], tmp_path / "compare.html", OPTIONS)
    assert not (tmp_path / "compare.html").exists()


@pytest.mark.parametrize(
    ("chosen", "out", "words"),
    [
        ("{0}", "c.html", "one model"),
        ("{0} a={0}", "c.html", "same model"),
        ("{0} ={1}", "c.html", "LABEL=PATH"),
        ("a={0} a={2}", "c.html", "a=…"),
        ("{0} {1}", "c.pdf", ".html"),
    ],
)
def test_wrong_use_is_refused(tmp_path, models, chosen: str, out: str, words: str):
    with pytest.raises(UsageError, match=words):
        compare([word.format(*models) for word in chosen.split()], tmp_path / out, OPTIONS)


def test_a_path_with_an_equals_sign_is_a_path(tmp_path, models):
    odd = Path(models[0]).rename(tmp_path / "lr=3.safetensors")
    result = compare([str(odd), models[2]], tmp_path / "compare.html", OPTIONS)
    assert {row["model"] for row in result.numbers["tables"][0]["rows"]} == {"lr=3", "wide"}


def test_notes_are_told_once_and_bars_name_their_model(tmp_path, models):
    class Listener(Progress):
        notes, titles = [], []

        def task(self, title, total, unit="images", done=0):
            self.titles.append(title)
            return super().task(title, total, unit, done)

        def note(self, message):
            self.notes.append(message)

    compare(models, tmp_path / "compare.html", replace(OPTIONS, metrics=("fid", "kid")), progress=Listener())
    assert len(Listener.notes) == len(set(Listener.notes)) > 0
    assert {title.split(":")[0] for title in Listener.titles} == {"same (same-seed0.safetensors)", "same (same-seed1.safetensors)", "wide"}


@in_a_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
def test_a_browser_shows_the_whole_page_legibly(page, tmp_path, width: int, scheme: str):
    text = [("body", "color"), (".about", "color"), ("nav a", "color"), (".tick", "fill"), ("thead th", "color"), ("td small", "color")]
    lines = [(".line.c0 path", "stroke"), (".line.c1 path", "stroke"), ("tbody th i.c0", "borderTopColor")]
    assert_legible(look(page, tmp_path, width, scheme, text=text, lines=lines), scheme, pictures=8)
