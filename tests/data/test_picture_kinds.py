"""Formats of pictures, and pixels of more than 8 bits."""

import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, features

from genrev_cli.cli import main
from genrev_cli.data.depth import FULL, GRAY_16, GRAY_32, Deep, UnknownRange, decided_range, to_bytes
from genrev_cli.data.formats import is_picture
from genrev_cli.data.pixels import DamagedImage, decode, probe, to_array
from genrev_cli.errors import UsageError
from genrev_cli.files.images import open_images

GRAY = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def prepare(path, out, *options):
    return main(["prepare-data", "folder", "--path", str(path), "--out", str(out), "--workers", "1", *options])


# --- formats


@pytest.mark.parametrize(("kind", "least"), [("PPM", 0), ("JPEG2000", 0), ("AVIF", 8), ("HEIF", 8)])
def test_other_formats_are_decoded_and_recognised(encode, kind, least):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow has no AVIF")
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    data = encode(np.repeat(GRAY[..., None], 3, 2) if kind != "PPM" else GRAY, kind)
    assert is_picture(data[:64])
    assert probe(data).size == (32, 32)
    assert np.abs(to_array(decode(data, 1))[0].astype(int) - GRAY).max() <= least


def test_heic_without_its_package_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DamagedImage, match=r"HEIC needs the package pillow-heif: pip install 'genrev-cli\[heic\]'"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), 3)


@pytest.mark.parametrize("name", ["x.pgm", "x.ppm", "x.pnm", "x.jfif", "x.jpe", "x.jp2", "X.PGM"])
def test_a_folder_of_another_kind_is_prepared_and_scored(tmp_path, encode, capsys, name):
    kind = "PPM" if name[-2] in "gpnGPN" and name[-1] in "mM" else "JPEG2000" if name.endswith("2") else "JPEG"
    (tmp_path / "set").mkdir()
    for i in range(3):
        (tmp_path / "set" / f"{i}{name}").write_bytes(encode(np.full((8, 8), 90 + i, np.uint8), kind))
    assert prepare(tmp_path / "set", tmp_path / "x.h5", "--val-fraction", "0", "--test-fraction", "0") == 0
    assert open_images(tmp_path / "x.h5").read([0])[0, 0, 0, 0] == 90
    assert (
        main(["fid", str(tmp_path / "set"), "--ref", str(tmp_path / "set"), "--features", "pixel", "--out", str(tmp_path / "f.json")]) == 0
    )
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "f.json")


def test_files_without_extensions_are_found_by_content(tmp_path, encode, capsys):
    (tmp_path / "set").mkdir()
    for i in range(3):
        (tmp_path / "set" / str(i)).write_bytes(encode(np.full((8, 8), i, np.uint8)))
    (tmp_path / "set" / "README").write_text("three pictures")
    assert prepare(tmp_path / "set", tmp_path / "x.h5") == 0
    assert len(open_images(tmp_path / "x.h5").split) == 3
    assert "ignored 1 files that are not images" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("kind", ["eXIf", "text", "xmp"])
def test_probe_and_decode_agree_on_an_orientation_anywhere_in_a_png(encode, place, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    packet = exif.tobytes()
    body = {
        "eXIf": chunk(b"eXIf", packet.removeprefix(b"Exif\0\0")),
        "text": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n%8d\n" % len(packet) + packet.hex().encode() + b"\n"),
        "xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x:xmpmeta tiff:Orientation="6"/>'),
    }[kind]
    data = encode(np.zeros((4, 6), np.uint8))
    cut = data.index(b"IDAT") - 4 if place == "before" else -12
    data = data[:cut] + body + data[cut:]
    assert probe(data).size == decode(data, 1).size == (4, 6)


# --- depth


@pytest.mark.parametrize("within", [(0, 255), (0, 4095), (0, 65535), (-1, 1), (0, 1)])
def test_the_ends_of_a_range_become_black_and_white(within):
    values = np.linspace(*within, 256)[None]
    assert np.array_equal(to_bytes(values, within)[0], np.arange(256))


@pytest.mark.parametrize("value", [4200, -100, float("nan"), float("inf")])
def test_values_outside_of_a_range_are_refused(value):
    with pytest.raises(UnknownRange, match="outside of 0 to 4095"):
        to_bytes(np.array([[0, value]]), (0, 4095))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], None),
        ([Deep(GRAY_16, 0)], None),
        ([Deep(GRAY_16, 60000), Deep(GRAY_16, 3)], None),
        ([Deep(GRAY_32, 255), Deep(GRAY_32, 9)], (0, 255)),
        ([Deep(GRAY_32, 60000)], FULL),
        ([Deep(GRAY_16, 4095)], "--values 0,4095 if they have 12 bits, or --values 0,65535 if they are dark"),
        ([Deep(GRAY_16, 1000)], "--values 0,1023 if they have 10 bits"),
        ([Deep(GRAY_32, 300)], "--values 0,1023"),
    ],
)
def test_the_range_of_a_set(found, expected):
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            decided_range(found, None, "set", print)
    else:
        assert decided_range(found, None, "set", lambda _: None) == expected
    if found:
        assert decided_range(found, (0, 4095), "set", print) == (0, 4095)


DEEP = {
    "12 bits in a PNG": ("x.png", np.uint16, 4095, {}, 2),
    "12 bits in a PNG, said": ("x.png", np.uint16, 4095, {"values": "0,4095"}, 255),
    "a dark PNG, said": ("x.png", np.uint16, 4095, {"values": "0,65535"}, 16),
    "16 bits": ("x.png", np.uint16, 65535, {}, 255),
    "32 bits to 255": ("x.tif", np.int32, 255, {}, 255),
    "32 bits to 255, size and channels given": ("x.tif", np.int32, 255, {"size": "4", "channels": "1"}, 255),
    "12 bits, size and channels given": ("x.png", np.uint16, 4095, {"size": "4", "channels": "1"}, 2),
    "floats": ("x.tif", np.float32, 1, {}, 3),
    "floats, said": ("x.tif", np.float32, 1, {"values": "0,1"}, 255),
    "32 bits of unknown range": ("x.tif", np.int32, 70000, {}, 3),
}


@pytest.mark.parametrize(("name", "dtype", "top", "options", "expected"), DEEP.values(), ids=DEEP)
def test_deep_pictures_are_never_dark_without_a_word(tmp_path, encode, capsys, name, dtype, top, options, expected):
    (tmp_path / "set").mkdir()
    pixels = np.full((4, 4), top, dtype)
    pixels[0] = 0
    (tmp_path / "set" / name).write_bytes(encode(pixels, "PNG" if name.endswith("png") else "TIFF"))
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    code = prepare(tmp_path / "set", tmp_path / "x.h5", "--val-fraction", "0", "--test-fraction", "0", *words)
    err = capsys.readouterr().err
    if expected in (2, 3):
        assert code == expected
        assert "--values" in err
    else:
        assert code == 0, err
        images = open_images(tmp_path / "x.h5")
        assert images.read([0]).max() == expected
        given = [float(value) for value in options["values"].split(",")] if "values" in options else None
        assert images.header.config["preparation"].get("values") == ([0, 255] if name == "x.tif" and not given else given)


def test_a_single_picture_of_32_bits_is_not_black(encode):
    levels = np.arange(256, dtype=np.int32)[None]
    assert np.array_equal(to_array(decode(encode(levels, "TIFF"), 1))[0], levels)


def test_a_tiff_that_states_its_largest_value_is_scaled_by_it(encode):
    tags = {281: 4095}
    data = encode(np.full((3, 3), 4095, np.uint16), "TIFF", tiffinfo=tags)
    assert probe(data).deep is None
    assert to_array(decode(data, 1)).min() == 255


def test_a_pgm_of_12_bits_is_scaled_by_its_largest_value():
    data = b"P5 2 1 4095\n" + struct.pack(">HH", 4095, 0)
    assert probe(data).deep is None
    assert to_array(decode(data, 1)).tolist() == [[[255, 0]]]


def colour_16(value):
    rows = b"".join(b"\0" + struct.pack(">9H", *[value] * 9) for _ in range(3))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 3, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_colours_of_12_bits_in_16_are_in_doubt(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "x.png").write_bytes(colour_16(4000))
    assert prepare(tmp_path / "set", tmp_path / "x.h5") == 2
    assert "--values 0,65535 if they are dark" in capsys.readouterr().err
    assert prepare(tmp_path / "set", tmp_path / "x.h5", "--values", "0,4095") == 3
    assert "only the upper 8 bits can be read" in capsys.readouterr().err
    assert prepare(tmp_path / "set", tmp_path / "x.h5", "--values", "0,65535", "--val-fraction", "0", "--test-fraction", "0") == 0
    (tmp_path / "set" / "x.png").write_bytes(colour_16(60000))
    assert prepare(tmp_path / "set", tmp_path / "y.h5", "--val-fraction", "0", "--test-fraction", "0") == 0
    assert open_images(tmp_path / "y.h5").read([0]).max() == 234


def test_values_for_pictures_of_8_bits_are_refused(tmp_path, encode, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "x.jpg").write_bytes(encode(GRAY, "JPEG"))
    assert prepare(tmp_path / "set", tmp_path / "x.h5", "--values", "0,4095", "--size", "8", "--channels", "1") == 2
    assert "--values does not apply; the pictures have 8 bits per value" in capsys.readouterr().err


def test_fid_refuses_dark_pictures_and_says_how_to_prepare_them(tmp_path, encode, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "x.png").write_bytes(encode(np.full((4, 4), 4000, np.uint16)))
    assert main(["fid", str(tmp_path / "set"), "--ref", str(tmp_path / "set"), "--features", "pixel"]) == 3
    assert "pass --values 0,4095 if they have 12 bits" in capsys.readouterr().err


@pytest.mark.parametrize("values", ["1", "a,b", "5,5", "9,1", "0,inf", "0,1,2"])
def test_unreadable_values_are_refused(tmp_path, capsys, values):
    assert prepare(tmp_path, tmp_path / "x.h5", "--values", values) == 2
    assert "write the values of black and white, like 0,255 or -1,1" in capsys.readouterr().err
