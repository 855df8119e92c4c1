"""Drive headless Chromium by its DevTools protocol: open a page, act on it, and read what it shows."""

import base64
import itertools
import json
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from websockets.sync.client import connect

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--hide-scrollbars")


class Tab:
    """One page. Calls wait for the browser's answer; an exception in the page is an error here."""

    def __init__(self, socket):
        self.socket, self.numbers, self.events = socket, itertools.count(1), []

    def call(self, method, **params):
        """Send one command of the protocol and return its result; events that come before it are kept."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (told := json.loads(self.socket.recv(timeout=30))).get("id") != number:
            self.events.append(told)
        assert "error" not in told, (method, told)
        return told["result"]

    def run(self, script):
        """Return the value of a script, which may be a promise."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, script, seconds=30):
        """Wait until a script's value is true, and return it."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not true after {seconds} s: {script}; {self.run('document.body.innerText.slice(0, 600)')}"
            time.sleep(0.05)
        return value

    def logged(self, word, seconds=30):
        """Wait for a log entry with a word, in lower case, and return all entries' texts. Entries may come later than what they tell of."""
        limit = time.monotonic() + seconds
        while True:
            self.run("0")  # receives what came meanwhile
            entries = [event["params"]["entry"]["text"].lower() for event in self.events if event.get("method") == "Log.entryAdded"]
            if any(word in entry for entry in entries) or time.monotonic() > limit:
                return entries
            time.sleep(0.05)

    def go(self, address):
        """Open an address."""
        self.call("Page.enable")
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)

    def size(self, width, height=900, *, dark=False, phone=False):
        """Set the window and the reader's theme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def key(self, name, code=0, text="", modifiers=0):
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code, modifiers=modifiers, **typed)

    def drag(self, start, end):
        """Press the mouse at one place of the window, move to another, and release it; a click if both are the same."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(kind != "mouseReleased"), clickCount=1)

    def picture(self, path: Path, whole=False):
        """Save what the window shows, or the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def tab(chromium, folder: Path):
    """Start a browser whose own files lie in a folder, and yield its page."""
    words = [chromium, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        port = next(int(found[1]) for line in process.stderr if (found := re.search(r"ws://127.0.0.1:(\d+)/", line)))
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as answer:
            page = next(one["webSocketDebuggerUrl"] for one in json.load(answer) if one["type"] == "page")
        with connect(page, max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()
