"""Pictures that are too large to decode at once; the tests lower the limits."""

import numpy as np
import pytest
from PIL import Image

from genrev_cli.data import large
from genrev_cli.data.pixels import DamagedImage, decode, probe, to_array
from genrev_cli.data.transform import BOX, WHOLE, Transform


@pytest.fixture
def small_limit(monkeypatch):
    """Let pictures of more than 4,000 pixels be large."""
    monkeypatch.setattr(large, "MAX_PIXELS", 4000)
    monkeypatch.setattr(large, "MAX_BYTES", 400_000)
    monkeypatch.setattr(large, "_BAND", 5)


def smooth(mode, size=(301, 203)):
    across = np.linspace(20, 220, size[0])[None].repeat(size[1], 0)
    pixels = {"L": across, "I;16": across * 257}.get(mode)
    if pixels is None:
        pixels = np.stack([across, across[:, ::-1], np.full_like(across, 60)], -1)
        if mode == "RGBA":
            pixels = np.concatenate([pixels, np.full((*across.shape, 1), 128)], -1)
    return np.rint(pixels).astype(np.uint16 if mode == "I;16" else np.uint8)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "I;16"), ("TIFF", "RGB"), ("BMP", "RGB"),
                                            ("PPM", "RGB"), ("JPEG", "RGB"), ("JPEG", "L")])  # fmt: skip
@pytest.mark.parametrize("transform", [Transform(channels=1, size=(16, 16)), Transform(channels=3, size=(20, 8), crop=WHOLE)])
def test_a_large_picture_comes_out_as_a_small_one_would(monkeypatch, encode, kind, mode, transform):
    options = {"quality": 95} if kind == "JPEG" else {}
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(smooth(mode), kind, **options, **({"exif": exif} if kind in ("JPEG", "PNG", "TIFF") else {}))
    whole = transform(data)
    monkeypatch.setattr(large, "MAX_PIXELS", 4000)
    monkeypatch.setattr(large, "_BAND", 5)
    reduced = transform(data)
    assert reduced.shape == whole.shape
    assert np.abs(reduced.astype(int) - whole).max() <= 4


def test_pictures_below_the_limit_are_decoded_as_before(encode):
    data = encode(smooth("RGB"), "JPEG")
    assert np.array_equal(to_array(decode(data, 3, least=(8, 8))), to_array(decode(data, 3)))


@pytest.mark.parametrize(
    ("kind", "mode", "options", "least", "message"),
    [
        ("PNG", "L", {}, None, "301x203, more than 4,000 pixels; pass a --size to which it can be reduced, or resize it first"),
        ("PNG", "L", {}, (200, 200), "too large to be reduced to this --size; choose a smaller --size"),
        ("PNG", "RGB", {"size": (600, 203)}, (8, 8), "600x203, too large for PNG"),
        ("WEBP", "RGB", {}, (8, 8), "301x203, too large for WEBP; resize it first, or save it as a baseline JPEG"),
    ],
)
def test_a_picture_that_needs_too_much_memory_says_what_to_do(small_limit, encode, kind, mode, options, least, message):
    data = encode(smooth(mode, **options), kind)
    for read in (lambda: decode(data, 1, least=least), lambda: probe(data, least)):
        with pytest.raises(DamagedImage, match=message):
            read()


def test_a_progressive_jpeg_has_its_own_limit(monkeypatch, small_limit, encode):
    data = encode(smooth("RGB"), "JPEG", progressive=True, subsampling=0)
    assert decode(data, 3, least=(8, 8)).size[0] < 301
    monkeypatch.setattr(large, "MAX_COEFFICIENTS", 6 * 301 * 203 - 1)
    with pytest.raises(DamagedImage, match="progressive JPEG; save it as a baseline JPEG"):
        decode(data, 3, least=(8, 8))


def test_a_crop_of_fixed_size_is_never_reduced(small_limit, encode):
    transform = Transform(channels=1, size=(8, 8), crop=BOX, box=(16, 16))
    with pytest.raises(DamagedImage, match="more than 4,000 pixels"):
        transform(encode(smooth("L")))


def test_pillows_own_limit_is_left_alone(encode):
    before = Image.MAX_IMAGE_PIXELS
    decode(encode(np.zeros((3, 3), np.uint8)), 1)
    assert before == Image.MAX_IMAGE_PIXELS
