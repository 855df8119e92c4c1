"""A page as a real browser shows it, for tests: how wide, whether its pictures are decoded, and in which colours."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")

PROBE = """<script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, style = (where, name) => frame.contentWindow.getComputedStyle(page.querySelector(where))[name];
  document.title = JSON.stringify({
    overflow: page.documentElement.scrollWidth - frame.clientWidth,
    images: [...page.images].map(image => image.naturalWidth),
    paper: style("body", "backgroundColor"),
    text: TEXT.map(([where, name]) => style(where, name)),
    lines: LINES.map(([where, name]) => style(where, name)),
  });
};
</script>"""


def look(page: Path, folder: Path, width: int, scheme: str, *, text: list, lines: list) -> dict:
    """What a window `width` CSS pixels wide shows of a page to a reader whose theme is 'light' or 'dark'.

    text, lines: (selector, property) of colours to read. folder: for the browser's own files.
    """
    probe = PROBE.replace("TEXT", json.dumps(text)).replace("LINES", json.dumps(lines))
    outer = page.with_name("outer.html")
    outer.write_text(f'<iframe style="width:{width}px;height:900px;border:0" src="{page.name}"></iframe>{probe}', encoding="utf-8")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
    flags += ("--disable-component-update", "--disable-sync", "--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}")
    flags += (f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}", "--virtual-time-budget=3000", "--dump-dom")
    run = subprocess.run([CHROMIUM, *flags, outer.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", run.stdout)[1]))


def assert_legible(seen: dict, scheme: str, pictures: int) -> None:
    """Nothing is wider than the window, all pictures are decoded, text and lines stand out from the page in the reader's theme (WCAG 2)."""
    assert seen["overflow"] <= 0
    assert len(seen["images"]) == pictures
    assert all(seen["images"])
    assert (luminance(seen["paper"]) < 0.1) == (scheme == "dark")
    assert min(contrast(colour, seen["paper"]) for colour in seen["text"]) >= 4.5
    assert min(contrast(colour, seen["paper"]) for colour in seen["lines"]) >= 3


def luminance(colour: str) -> float:
    """Relative luminance of 'rgb(r, g, b)'."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    """The ratio of two colours."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def shown(page: str) -> str:
    """The text that a reader sees, or hears from alt texts."""
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())
