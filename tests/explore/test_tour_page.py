"""The recorded tour in headless Chromium, from a file: by keyboard, at every width, in both themes."""

import time

import numpy as np
import pytest
from browser import CHROMIUM, contrast, in_a_browser
from devtools import tab
from PIL import Image

from genrev_cli.cli import main
from genrev_cli.files.page import read_page

pytestmark = in_a_browser

PIXELS = "[...document.getElementById('{}').getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 0)"
TEXT = "document.getElementById('{}').{}"


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    """(the page, its folder), opened from its file."""
    place = tmp_path_factory.mktemp("tour")
    words = ["explore", "--ckpt", folder / "recon.safetensors", "--directions", folder / "directions.safetensors", "--steps", 5]
    words += ["--images", 3, "--record", place / "tour.html", "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    with tab(CHROMIUM, place / "profile") as found:
        found.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(place))
        found.call("Log.enable")
        found.call("Runtime.enable")
        found.size(1000)
        found.go((place / "tour.html").as_uri())
        found.until("document.body?.dataset.ready === 'yes'")
        yield found, place


def seen(found, canvas):
    return found.run(PIXELS.format(canvas))


def text(found, name, what="textContent"):
    return found.run(TEXT.format(name, what))


def test_a_slider_by_keyboard_changes_the_picture_and_another_starts_from_the_original(page):
    found, _ = page
    original = seen(found, "original")
    assert original == seen(found, "full") == seen(found, "edited") == seen(found, "thumb-0")
    assert seen(found, "restricted") != original
    assert "every byte is equal" in text(found, "trip")
    found.run("document.getElementById('slider-2').focus()")
    found.key("ArrowRight", 39)
    assert text(found, "slider-2", "value") == "3"
    first = seen(found, "edited")
    assert first != original
    assert first == found.run(
        """(() => {
        const image = document.getElementById('edit-0-2'), canvas = document.createElement('canvas');
        Object.assign(canvas, { width: 8, height: 8 });
        canvas.getContext('2d').drawImage(image, 0, -24);
        return [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 0);
        })()"""
    )
    assert "+1.5 standard deviations" in text(found, "change")
    assert "=+1.5 --latent full" in text(found, "command", "value")
    found.run("document.getElementById('slider-0').focus()")
    found.key("Home", 36)
    assert text(found, "slider-2", "value") == "2", "set back"
    assert seen(found, "edited") == seen(found, "restricted")
    assert "--rest 0" in text(found, "command", "value")
    found.run("document.getElementById('reset').click()")
    assert seen(found, "edited") == original
    assert found.run("document.getElementById('copy').disabled")


def test_another_image_by_keyboard_keeps_the_slider(page):
    found, _ = page
    found.run("document.getElementById('slider-3').focus()")
    found.key("End", 35)
    found.run("document.querySelector('#photos input').focus()")
    found.key("ArrowRight", 39)
    assert seen(found, "original") == seen(found, "thumb-1")
    assert text(found, "slider-3", "value") == "4"
    assert seen(found, "edited") != seen(found, "original")
    assert found.run("document.body.dataset.shown") == "1 3 4"
    found.key("ArrowLeft", 37)
    found.run("document.getElementById('reset').click()")


def test_a_path_plays_to_the_next_image(page):
    found, _ = page
    found.run("document.getElementById('play').click()")
    found.until("document.getElementById('place').value === '15'")
    assert np.abs(np.subtract(seen(found, "frame"), seen(found, "thumb-1"))).max() <= 1


def test_the_saved_original_and_the_command_make_the_picture(page, folder, monkeypatch):
    found, place = page
    found.run("document.getElementById('slider-14').focus()")
    found.key("End", 35)
    found.run("document.querySelector('.save[data-canvas=original]').click()")
    command = text(found, "command", "value").split()
    saved = place / command[2]
    end = time.monotonic() + 20
    while not (saved.exists() and saved.stat().st_size):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert np.asarray(Image.open(saved).convert("L")).flatten().tolist() == seen(found, "original")
    monkeypatch.chdir(folder)
    assert main(["edit", str(saved), *command[3:], "--out", str(place / "made.png"), "--device", "cpu"]) == 0
    assert np.abs(np.subtract(np.asarray(Image.open(place / "made.png")).flatten(), seen(found, "edited"), dtype=int)).max() <= 1
    found.run("document.getElementById('reset').click()")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_legible_at_every_width_and_in_both_themes(page, width, dark):
    found, _ = page
    found.size(width, dark=dark, phone=width == 390)
    found.run("document.getElementById('slider-5').focus()")
    found.key("End", 35)
    assert found.run("document.documentElement.scrollWidth - innerWidth") <= 0
    assert found.run(
        "[...document.querySelectorAll('section canvas, .slider input, button, h1, h2, label')]"
        ".filter((e) => e.getBoundingClientRect().width < 12 || e.getBoundingClientRect().height < 12).map((e) => e.outerHTML)"
    ) == []  # fmt: skip
    cut = "(() => { const e = document.getElementById('command'); return e.scrollHeight - e.clientHeight; })()"
    assert found.run(cut) <= 1
    found.size(400 if width == 1280 else 1280, dark=dark)
    found.until(f"{cut} <= 1")  # no line of the command is cut after a turn of the phone
    found.size(width, dark=dark, phone=width == 390)
    style = "getComputedStyle(document.querySelector('{}')).{}"
    for where, ground in (("#about", "section"), ("#edit label", "section"), ("#model", "body"), ("footer", "body"), ("button", "button")):
        ink, paper = found.run(style.format(where, "color")), found.run(style.format(ground, "backgroundColor"))
        assert contrast(ink, paper) >= 4.5, where
    found.run("document.getElementById('reset').click()")
    found.size(1000)


def test_everything_has_a_name(page):
    found, _ = page
    unnamed = "[...document.querySelectorAll('button, input, textarea')].filter((e) => !(e.labels?.length || e.textContent.trim()))"
    assert found.run(f"{unnamed}.map((e) => e.outerHTML)") == []
    assert found.run("[...document.querySelectorAll('canvas')].filter((e) => !e.getAttribute('aria-label')).length") == 0


def test_nothing_fails_or_is_forbidden_by_the_pages_own_policy(page):
    found, place = page
    found.run("1")
    entries = [event["params"]["entry"] for event in found.events if event.get("method") == "Log.entryAdded"]
    assert [entry["text"] for entry in entries if entry["level"] == "error"] == []
    assert [event["params"] for event in found.events if event.get("method") == "Runtime.exceptionThrown"] == []
    assert "default-src 'none'" in read_page(place / "tour.html")[1]
