import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genrev_cli.progress import Progress

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


class Notes(Progress):
    """Remembers what it was told."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def encode():
    """(h, w) or (h, w, 3) uint8, or a picture → the bytes of an image file."""

    def encode(pixels, kind="PNG", **options):
        picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def shared():
    """A file of the real data sets; skips the test where they are not."""

    def find(name):
        if not (SHARED / name).exists():
            pytest.skip(f"needs ../shared/data/{name}")
        return SHARED / name

    return find
