import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
