"""The page in headless Chromium: drop, slide, undo, save, the map and the keyboard; and an attack from another origin."""

import base64
import http.server
import io
import json
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from browser import CHROMIUM, contrast, in_a_browser
from devtools import tab
from PIL import Image

from genrev_cli.explore.asked import Asked
from genrev_cli.explore.session import Session
from genrev_cli.progress import SILENT

pytestmark = in_a_browser

READY = "document.body?.dataset.ready === 'yes' && document.body.dataset.map === 'pca'"
PIXELS = "[...document.getElementById('{}').getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 0)"
SLIDE = """(() => {{
    const slider = document.getElementById('{}');
    slider.value = {};
    for (const event of ['input', 'change']) slider.dispatchEvent(new Event(event));
}})()"""
SHOWN = "JSON.parse(document.body.dataset.shown ?? 'null')?.changes"
PLACE = """(() => {{
    const element = document.getElementById('{}');
    element.scrollIntoView({{block: 'center'}});
    const box = element.getBoundingClientRect();
    return [box.left, box.top, box.width, box.height];
}})()"""


@pytest.fixture(scope="module")
def page(opened, served, tmp_path_factory):
    """(the page, its address, its session), open and ready."""
    folder = tmp_path_factory.mktemp("browser")
    session = Session(opened(), SILENT)
    with served(session) as address, tab(CHROMIUM, folder / "profile") as found:
        found.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        found.folder = folder
        found.call("Log.enable")
        found.size(1000)
        found.go(address)
        found.until(READY)
        yield found, address, session


def seen(found, canvas):
    return found.run(PIXELS.format(canvas))


def drop(found, pixels, name):
    """Drop a picture file on the page, as the browser tells the page of it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    found.run(
        f"""(() => {{
        const bytes = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0)), carried = new DataTransfer();
        carried.items.add(new File([bytes], "{name}", {{type: "image/png"}}));
        document.body.dispatchEvent(new DragEvent("drop", {{dataTransfer: carried, bubbles: true, cancelable: true}}));
        }})()"""
    )
    found.until(f"document.getElementById('about').textContent.startsWith('{name}')")


def test_drop_slide_undo_redo_and_save(page):
    found = page[0]
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    drop(found, pixels, "me.png")
    assert seen(found, "original") == seen(found, "full") == pixels.flatten().tolist()
    assert "every byte is equal" in found.run("document.getElementById('trip').textContent")
    found.until(f"({PIXELS.format('edited')}).join() === ({PIXELS.format('original')}).join()")
    found.run(SLIDE.format("move-7", 2.5))
    found.until(f"{SHOWN}?.move['7'] === 2.5")
    moved = seen(found, "edited")
    assert moved != seen(found, "original")
    assert "genrev edit me.png" in found.run("document.getElementById('command').value")
    assert "--move 7=+2.5 --latent full" in found.run("document.getElementById('command').value")
    found.run("document.getElementById('undo').click()")
    found.until(f"({PIXELS.format('edited')}).join() === ({PIXELS.format('original')}).join()")
    assert found.run("document.getElementById('move-7').value") == "0"
    found.run("document.getElementById('redo').click()")
    found.until(f"({PIXELS.format('edited')}).join() === '{','.join(map(str, moved))}'")
    found.run("document.querySelector('.save[data-what=png]').click()")
    found.until("document.getElementById('status').textContent === 'Saved me-edited.png.'")
    saved = found.folder / "me-edited.png"
    for _ in range(100):
        if saved.exists() and saved.stat().st_size:
            break
        threading.Event().wait(0.05)
    assert np.asarray(Image.open(saved)).flatten().tolist() == moved


def test_the_rest_can_be_shrunk(page):
    found = page[0]
    drop(found, np.random.default_rng(1).integers(0, 256, (8, 8), np.uint8), "other.png")
    found.run(SLIDE.format("rest-rest", 0))
    found.until(f"{SHOWN}?.rest === 0")
    assert np.abs(np.subtract(seen(found, "edited"), seen(found, "restricted"))).max() <= 1
    found.run(SLIDE.format("rest-rest", 0.5))
    found.until(f"{SHOWN}?.rest === 0.5")
    assert "--latent full --rest 0.5" in found.run("document.getElementById('command').value")


def test_many_moves_of_a_slider_end_at_the_newest(page):
    found = page[0]
    found.run(
        """for (let i = 0; i <= 40; i++) {
            const slider = document.getElementById('move-3');
            slider.value = i / 10;
            slider.dispatchEvent(new Event('input'));
        }"""
    )
    found.until(f"{SHOWN}?.move['3'] === 4")
    found.run(SLIDE.format("move-3", 0))
    found.until(f"{SHOWN} && !('3' in {SHOWN}.move)")


def test_click_and_drag_on_the_map(page):
    found = page[0]
    left, top, width, height = found.run(PLACE.format("plot"))
    place, other = (left + width / 2, top + height / 2), (left + width / 4, top + height / 3)
    found.drag(place, place)
    found.until("document.getElementById('about').textContent.includes(\"of split 'test'\")")
    found.drag(place, other)
    found.until("document.body.dataset.frames === '32'")
    found.until("Number(document.getElementById('place').value) > 0")  # it plays
    found.run("document.getElementById('click').value = 'plane'")
    found.drag(*[[*map(float, other)]] * 2)
    found.until("document.getElementById('about').textContent.includes('of the plane of the map')")
    found.run("document.getElementById('click').value = 'map'")


def test_all_of_it_by_keyboard(page):
    found = page[0]
    found.run("document.querySelector('#moves-part').open || document.querySelector('#moves-part > summary').focus()")
    found.key("Enter", 13, "\r")
    assert found.run("document.querySelector('#moves-part').open")
    found.run("document.getElementById('move-1').focus()")
    found.key("ArrowRight", 39)
    found.until(f"{SHOWN}?.move['1'] === 0.1")
    found.key("z", 90, modifiers=2)
    found.until(f"{SHOWN} && !('1' in {SHOWN}.move)")
    found.run("document.body.dataset.frames = ''; document.getElementById('plot').focus()")
    found.key(" ", 32, " ")
    for _ in range(9):
        found.key("ArrowRight", 39)
    found.key(" ", 32, " ")
    found.until("document.body.dataset.frames === '32'")
    found.run("document.getElementById('about').textContent = ''")
    found.key("Enter", 13, "\r")
    found.until("document.getElementById('about').textContent.includes(\"of split 'test'\")")
    unnamed = "[...document.querySelectorAll('button, input, select, textarea')].filter((e) => !(e.labels?.length || e.textContent.trim()))"
    assert found.run(f"{unnamed}.map((e) => e.outerHTML)") == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_legible_at_every_width_and_in_both_themes(page, width, dark):
    found = page[0]
    found.size(width, dark=dark, phone=width == 390)
    assert found.run("document.documentElement.scrollWidth - innerWidth") <= 0
    style = "getComputedStyle(document.querySelector('{}')).{}"
    for where, ground in (("#about", "section"), ("label", "section"), ("#model", "body"), ("form button", "form button")):
        text, paper = found.run(style.format(where, "color")), found.run(style.format(ground, "backgroundColor"))
        assert contrast(text, paper) >= 4.5, where
    found.size(1000)


def test_nothing_is_forbidden_by_the_pages_own_policy(page):
    found = page[0]
    found.run("1")
    entries = [event["params"]["entry"] for event in found.events if event.get("method") == "Log.entryAdded"]
    assert [entry["text"] for entry in entries if entry["level"] == "error"] == []


@contextmanager
def another_site(html):
    """Serve a page of another origin."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *words):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_page_of_another_origin_gets_nothing(page):
    """It can neither read nor send, even if it knew the token, and no frame of it shows the page."""
    found, address, session = page
    base, token = address.split("#")
    html = f"""<title>running</title><iframe src="{base}"></iframe><script>
    const kinds = {{
      get: [`{base}api/about`, {{}}],
      token: [`{base}api/about`, {{headers: {{"x-genrev-token": "{token}"}}}}],
      post: [`{base}api/draw`, {{method: "POST", body: '{{"kind": "prior"}}', mode: "no-cors"}}],
    }};
    const tried = ([name, [where, how]]) => fetch(where, how).then((answer) => [name, answer.status], () => [name, "refused"]);
    Promise.all(Object.entries(kinds).map(tried)).then((all) => {{ document.title = JSON.stringify(all); }});
    </script>"""
    newest = session.draw(Asked(kind="prior"))
    found.events.clear()
    with another_site(html) as site:
        found.go(site)
        outcome = found.until("document.title.startsWith('[') && document.title")
        entries = found.logged("frame")
    assert json.loads(outcome) == [["get", "refused"], ["token", "refused"], ["post", "refused"]]
    assert session.draw(Asked(kind="prior")) == newest + 1  # nothing was opened in between
    assert any("frame" in entry for entry in entries), entries
