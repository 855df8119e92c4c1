import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from genrev_cli.data.pixels import DamagedImage, centre_crop, decode, probe, to_array

L_SHAPE = np.array([[255, 0, 0], [255, 255, 0]], np.uint8)  # differs from all its rotations and reflections

# EXIF orientation → function from the upright array to the stored one.
STORED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).T,
    8: lambda a: np.rot90(a, -1),
}


def test_16_bit_gray_keeps_every_8_bit_level(encode):
    levels = np.arange(256, dtype=np.uint16)[None]
    assert np.array_equal(to_array(decode(encode(levels * 257), 1))[0], levels)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (128, 0), (129, 1), (32767, 127), (32896, 128), (65535, 255)])
def test_16_bit_gray_is_rounded_and_never_clipped(encode, value, expected):
    for kind in ("PNG", "TIFF"):
        assert to_array(decode(encode(np.full((2, 2), value, np.uint16), kind), 1)).tolist() == [[[expected] * 2] * 2]


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied(encode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(STORED[orientation](L_SHAPE)), exif=exif)
    assert np.array_equal(to_array(decode(data, 1))[0], L_SHAPE)
    assert probe(data).size == (3, 2)


@pytest.mark.parametrize(("alpha", "expected"), [(0, [255, 255, 255]), (255, [200, 100, 0]), (51, [244, 224, 204])])
def test_transparent_parts_become_white(encode, alpha, expected):
    """(1 − a)·255 + a·c for a = alpha / 255."""
    data = encode(Image.new("RGBA", (1, 1), (200, 100, 0, alpha)))
    assert to_array(decode(data, 3))[:, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("picture", "options", "gray", "expected"),
    [
        (Image.new("1", (4, 2), 1), {}, True, 255),
        (Image.new("L", (4, 2), 77), {}, True, 77),
        (Image.new("LA", (4, 2), (77, 255)), {}, True, 77),
        (Image.new("LA", (4, 2), (77, 0)), {}, True, 255),
        (Image.new("L", (4, 2), 77), {"transparency": 77}, True, 255),
        (Image.new("RGB", (4, 2), (9, 9, 9)), {}, False, 9),
        (Image.new("RGB", (4, 2), (9, 9, 9)), {"transparency": (9, 9, 9)}, False, 255),
        (Image.new("RGB", (4, 2), (9, 9, 9)).quantize(), {}, False, 9),
    ],
)
def test_every_mode_is_decoded(encode, picture, options, gray, expected):
    data = encode(picture, **options)
    assert (probe(data).size, probe(data).gray) == ((4, 2), gray)
    for channels in (1, 3):
        pixels = to_array(decode(data, channels))
        assert pixels.shape == (channels, 2, 4)
        assert (pixels == expected).all()


@pytest.mark.parametrize("kind", ["BMP", "WEBP", "TIFF", "GIF", "JPEG"])
def test_every_format_is_decoded(encode, kind):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "JPEG" else {}
    pixels = np.repeat(np.arange(0, 256, 16, dtype=np.uint8)[None], 16, 0)
    assert np.abs(to_array(decode(encode(pixels, kind, **options), 1))[0].astype(int) - pixels).max() <= (2 if kind == "JPEG" else 0)


def test_the_first_frame_of_an_animation_is_taken(encode):
    frames = [Image.new("L", (3, 3), level) for level in (10, 200)]
    assert (to_array(decode(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), 1)) == 10).all()


def _png_that_claims(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", b"")
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",  # Pillow would start Ghostscript for it
        _png_that_claims(10_000, 10_000),
        _png_that_claims(100_000, 100_000),
    ],
    ids=["empty", "text", "EPS", "bomb of 0.1 GP", "bomb of 10 GP"],
)
def test_unusable_bytes_are_damaged(data):
    with pytest.raises(DamagedImage):
        decode(data, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
def test_truncated_images_are_damaged(encode, kind):
    data = encode(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8), kind)
    with pytest.raises(DamagedImage):
        decode(data[: len(data) // 2], 1)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_of_unknown_range_are_refused(encode, mode):
    with pytest.raises(DamagedImage, match="of unknown range"):
        decode(encode(Image.new(mode, (2, 2), 70_000), "TIFF"), 1)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_changed_bytes_are_decoded_or_damaged(position, noise):
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[position : position + len(noise)] = noise
    try:
        picture = decode(bytes(data), 3)
    except DamagedImage:
        return
    assert picture.mode == "RGB"


@pytest.mark.parametrize(
    ("size", "side", "corner"), [((178, 218), 140, (19, 39)), ((178, 218), 108, (35, 55)), ((5, 4), 2, (1, 1)), ((5, 4), 4, (0, 0))]
)
def test_centre_crop_rounds_its_corner_down(size, side, corner):
    width, height = size
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    picture = Image.fromarray(np.stack([columns, rows, rows], axis=-1))
    crop = centre_crop(picture, (side, side))
    assert crop.size == (side, side)
    assert crop.getpixel((0, 0))[:2] == corner


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_tall_transparent_image_has_no_seams(encode, mode):
    """The code adds the white background in bands; this test adds it to the whole image at once."""
    pixels = np.random.default_rng(0).integers(0, 256, (600, 3, len(mode)), np.uint8)
    picture = Image.fromarray(pixels)
    whole = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")
    assert np.array_equal(np.asarray(decode(encode(picture), 3)), np.asarray(whole))


def test_libtiff_prints_nothing(encode, capfd):
    data = bytearray(encode(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8), "TIFF", compression="tiff_lzw"))
    for position in range(8, 40):  # the beginning of its strips
        data[position] ^= 0x55
    with pytest.raises(DamagedImage):
        decode(bytes(data), 1)
    assert capfd.readouterr() == ("", "")
