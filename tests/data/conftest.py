import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genrev_cli.cli import main
from genrev_cli.files.images import open_images
from genrev_cli.progress import Progress

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


class Notes(Progress):
    """Stores the notes that it receives."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def encode():
    """A function that encodes (h, w) or (h, w, 3) uint8, or a picture, as an image file."""

    def encode(pixels, kind="PNG", **options):
        picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def shared():
    """A function that returns the path of a file of the real data sets, and skips the test if it is missing."""

    def find(name):
        if not (SHARED / name).exists():
            pytest.skip(f"needs ../shared/data/{name}")
        return SHARED / name

    return find


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos(work):
    """A function that writes gray 4×4 images with these names; image i is filled with i."""

    def write(names):
        for i, name in enumerate(names):
            (work / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), i).save(work / "photos" / name)
        return work / "photos"

    return write


@pytest.fixture
def prepare(work, capsys):
    """A function that runs prepare-data folder on photos/ and returns exit code, prepared images (None without any) and stderr."""

    def run(*words, path="photos"):
        out = work / "out.h5"
        out.unlink(missing_ok=True)
        code = main(["prepare-data", "folder", "--path", str(path), "--workers", "1", "--out", str(out), *map(str, words)])
        captured = capsys.readouterr()
        assert captured.out == (f"{out}\n" if code == 0 and "--dry-run" not in words else "")
        return code, open_images(out) if out.exists() else None, captured.err

    return run
