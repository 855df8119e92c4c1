"""Rules for every format with a header: the header is read back unchanged, and files of other programs are refused."""

import hashlib
import json
from dataclasses import asdict, replace
from functools import partial

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header, tensors_digest, write_checkpoint
from genrev_cli.files.header import FORMAT, Header, array_digest, content_digest, parse_header, provenance, require_kind
from genrev_cli.files.pictures import json_digest, pixels_digest, read_json, read_picture, write_json, write_picture
from genrev_cli.files.samples import read_npz_header
from genrev_cli.files.statistics import read_statistics, write_statistics
from genrev_cli.settings.pages import InfoSettings
from genrev_cli.stages.info import info

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (3, 9, 7), np.uint8)
TENSORS = {"w": torch.randn(4, 3), "half": torch.randn(5).bfloat16(), "n": torch.tensor(7), "empty": torch.zeros(0, 2)}
RESULT = {"fid": 12.5, "name": "é", "n": [1, 2]}
MU, SIGMA = RNG.normal(size=4), np.eye(4)
INPUTS = {"data": {"path": "/a", "kind": "data", "sha256": "b"}}
MADE = Header("picture", {"pair": [1, 2.5], "text": "×", "none": None}, "", 12, inputs=INPUTS, made_by={"command": "make", "seconds": 0.5})


def write_h5(path, header, array=PIXELS):
    with hdf5.writing(path, header) as writer:
        writer.create("a", array.shape, str(array.dtype))
        writer.write("a", 0, array)


# suffix → write(path, header), read(path) → header
FORMATS = {
    "safetensors": (
        lambda path, header: write_checkpoint(path, TENSORS, replace(header, sha256=tensors_digest(TENSORS))),
        lambda path: read_checkpoint(path)[0],
    ),
    "h5": (write_h5, hdf5.read_header),
    "png": (
        lambda path, header: write_picture(path, PIXELS, replace(header, sha256=pixels_digest(PIXELS))),
        lambda path: read_picture(path)[0],
    ),
    "json": (lambda path, header: write_json(path, RESULT, replace(header, sha256=json_digest(RESULT))), lambda path: read_json(path)[0]),
    "npz": (lambda path, header: write_statistics(path, MU, SIGMA, 9, header=header), lambda path: read_statistics(path)[0]),
}


def foreign_png(path, text=None):
    info = PngInfo()
    if text is not None:
        info.add_itxt("genrev", text)
    Image.fromarray(PIXELS[0]).save(path, pnginfo=info)


def foreign_h5(path, text=None):
    with h5py.File(path, "w") as file:
        if text is not None:
            file.attrs["genrev"] = text


# suffix → function that writes an intact file of that format, with any text as its header, or without one
FOREIGN = {
    "safetensors": lambda path, text=None: save_file({"w": torch.ones(2)}, path, metadata=None if text is None else {"genrev": text}),
    "h5": foreign_h5,
    "png": foreign_png,
    "json": lambda path, text=None: path.write_text(json.dumps({"fid": 1} if text is None else {"genrev": json.loads(text)})),
}

every_format = pytest.mark.parametrize("suffix", FORMATS)


def check_refused(read, path, match):
    """Check that reading a file raises one sentence that names it."""
    with pytest.raises(FileError, match=match) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert error.value.exit_code == 3


@every_format
def test_a_header_is_read_back_unchanged(tmp_path, suffix):
    write, read = FORMATS[suffix]
    write(tmp_path / f"a.{suffix}", MADE)
    found = read(tmp_path / f"a.{suffix}")
    assert replace(found, sha256="") == MADE
    assert len(found.sha256) == 64


@every_format
def test_equal_content_has_an_equal_digest_whenever_made(tmp_path, suffix):
    write, read = FORMATS[suffix]
    for name, header in (("a", MADE), ("b", replace(MADE, made_by={"command": "make", "seconds": 99.0}))):
        write(tmp_path / f"{name}.{suffix}", header)
    assert read(tmp_path / f"a.{suffix}").sha256 == read(tmp_path / f"b.{suffix}").sha256


@every_format
def test_missing_and_truncated_files_are_refused(tmp_path, suffix):
    write, read = FORMATS[suffix]
    path = tmp_path / f"a.{suffix}"
    check_refused(read, path, "no such file")
    write(path, MADE)
    whole = path.read_bytes()
    tail = {"json": 3, "png": 21}.get(suffix, 1)  # "}\n" closes a JSON file, and the last 20 bytes of a PNG are not pixels
    for length in (0, 1, 7, len(whole) // 2, len(whole) - tail):
        path.write_bytes(whole[:length])
        check_refused(read, path, "truncated|not readable as JSON|cannot be read back")


@every_format
@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"[1, 2]", b"\xff" * 9, bytes(9)],
    ids=["png", "hdf", "zip", "json", "ones", "zeros"],
)
def test_files_of_another_format_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    check_refused(FORMATS[suffix][1], path, "not a|not readable|is an HDF5 file, but")


@pytest.mark.parametrize("suffix", ["safetensors", "h5", "json", "png", "npz"])
def test_a_folder_is_refused(tmp_path, suffix):
    check_refused(FORMATS[suffix][1], tmp_path, "a folder|no such file")


@pytest.mark.parametrize("suffix", FOREIGN)
@pytest.mark.parametrize(
    "text", [None, "{}", "3", "[]", '"text"', '{"kind": "data"}', '{"kind": "data", "config": {}, "sha256": "", "format": "x"}']
)
def test_intact_files_of_other_programs_are_refused(tmp_path, suffix, text):
    path = tmp_path / f"a.{suffix}"
    FOREIGN[suffix](path, text)
    check_refused(FORMATS[suffix][1], path, "not written by genrev")


@pytest.mark.parametrize("suffix", FOREIGN)
@pytest.mark.parametrize("more", [{}, {"a_field_of_the_future": 1}])
def test_a_later_format_asks_for_an_upgrade(tmp_path, suffix, more):
    path = tmp_path / f"a.{suffix}"
    FOREIGN[suffix](path, json.dumps({**json.loads(MADE.to_json()), "format": FORMAT + 1, **more}))
    check_refused(FORMATS[suffix][1], path, f"written by a later version of genrev .file format {FORMAT + 1}.*upgrade")


@pytest.mark.parametrize("text", [b"\xff\xfe", "{", 3, np.zeros(2), h5py.Empty("f")])
def test_invalid_header_text_is_refused(tmp_path, text):
    check_refused(partial(parse_header, text), tmp_path, "not written by genrev")


@pytest.mark.parametrize(("read", "message"), [(read_statistics, "has no statistics"), (read_npz_header, "not written by genrev")])
def test_an_npy_file_named_npz_is_refused(tmp_path, read, message):
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        np.save(file, MU)
    check_refused(read, path, message)


def test_a_file_of_another_kind_is_refused(tmp_path):
    assert require_kind(MADE, "picture", tmp_path, "x") is MADE
    check_refused(
        lambda path: require_kind(MADE, "codes", path, "genrev encode"),
        tmp_path,
        "kind 'picture', but 'codes' is needed; make one with 'genrev encode'",
    )


def test_as_input_stores_the_whole_header(tmp_path):
    record = MADE.as_input(tmp_path / "a" / ".." / "b.h5")
    assert record.pop("path") == str(tmp_path / "b.h5")
    assert Header(**record) == MADE


def test_provenance_records_how_a_file_was_made():
    made = provenance(seconds=1.23456, seed=0, device="cpu")
    assert (made["seconds"], made["seed"], made["device"]) == (1.235, 0, "cpu")
    assert {"command", "versions", "git", "machine", "utc"} <= made.keys()
    assert {"seed", "device"}.isdisjoint(provenance(seconds=0))


def digest(array, names=("a",)):
    return content_digest({name: array_digest(str(array.dtype), array.shape, [np.ascontiguousarray(array)]) for name in names})


def test_the_digest_depends_on_type_shape_bytes_and_names():
    a = np.arange(6, dtype=np.int32)
    other = a.copy()
    other[3] ^= 1
    different = [
        digest(a),
        digest(other),
        digest(a.reshape(2, 3)),
        digest(a.reshape(3, 2)),
        digest(a.view(np.uint32)),
        digest(a, ["b"]),
        digest(a, "ab"),
    ]
    assert len(set(different)) == len(different)
    assert digest(a.copy()) == digest(a)


def test_the_digest_does_not_depend_on_pieces_or_order():
    buffer = bytes(range(100))
    pieces = [buffer[:1], buffer[1:50], buffer[50:]]
    assert array_digest("u1", (100,), pieces) == array_digest("u1", (100,), [buffer])
    assert content_digest({"a": "1", "b": "2"}) == content_digest({"b": "2", "a": "1"}) != content_digest({"a": "2", "b": "1"})


def test_checkpoint_tensors_are_read_back_exactly(tmp_path):
    path = tmp_path / "a.safetensors"
    strided = {**TENSORS, "strided": torch.arange(12.0).reshape(3, 4).T}
    write_checkpoint(path, strided, replace(MADE, sha256=tensors_digest(strided)))
    found, tensors = read_checkpoint(path)
    assert read_checkpoint_header(path) == found
    assert tensors.keys() == strided.keys()
    for name, tensor in strided.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert tensors_digest(dict(reversed(strided.items()))) == found.sha256


def test_every_flipped_byte_of_a_checkpoints_tensors_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    FORMATS["safetensors"][0](path, MADE)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    assert len(whole) - start == 4 * 3 * 4 + 5 * 2 + 8
    for position in range(start, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        check_refused(read_checkpoint, path, "damaged: its content does not match the checksum")


@pytest.mark.parametrize("suffix", ["safetensors", "h5"])
def test_a_flipped_byte_of_a_header_is_noticed_or_harmless(tmp_path, suffix):
    """The header decides how weights or codes are used, and the digest of the content does not cover it."""
    path = tmp_path / f"a.{suffix}"
    write, read = FORMATS[suffix]
    write(path, MADE)
    whole, found = path.read_bytes(), read(path)
    start, end = whole.index(b'{"kind' if suffix == "h5" else b"{"), whole.index(b"checksum") + len("checksum")
    for position in range(start, end):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            again = read(path)
        except FileError:
            continue
        assert again == found, f"byte {position}"


def earlier_h5(path, text):
    """Write the header as earlier versions did: with variable length."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["genrev"] = text


@pytest.mark.parametrize(("suffix", "write"), [("safetensors", FOREIGN["safetensors"]), ("h5", earlier_h5), ("json", FOREIGN["json"])])
def test_headers_of_format_1_may_have_no_checksum_and_are_read(tmp_path, suffix, write):
    path = tmp_path / f"a.{suffix}"
    fields = json.loads(replace(MADE, sha256=tensors_digest({"w": torch.ones(2)}), format=1).to_json())
    del fields["checksum"]
    write(path, json.dumps(fields))
    assert replace(FORMATS[suffix][1](path), sha256="", format=FORMAT) == MADE
    write(path, json.dumps({**fields, "chacksum": "0" * 64}))
    check_refused(FORMATS[suffix][1], path, "not written by genrev")  # without a checksum an unknown field may be a damaged one
    write(path, json.dumps({**fields, "format": 2}))
    check_refused(FORMATS[suffix][1], path, "damaged: its header")


def signed(**fields):
    """Return a header's JSON with its checksum, as another version of genrev would write it."""
    checksum = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    return json.dumps({**fields, "checksum": checksum})


@pytest.mark.parametrize("suffix", FOREIGN)
def test_unknown_fields_are_ignored_if_the_checksum_is_correct(tmp_path, suffix):
    path, fields = tmp_path / f"a.{suffix}", json.loads(replace(MADE, sha256=tensors_digest({"w": torch.ones(2)})).to_json())
    del fields["checksum"]
    known = signed(**fields)
    FOREIGN[suffix](path, known)
    header = FORMATS[suffix][1](path)
    FOREIGN[suffix](path, signed(**fields, a_field_of_the_future={"a": [1]}))
    assert FORMATS[suffix][1](path) == header
    assert info(path, InfoSettings()).numbers == asdict(header)
    FOREIGN[suffix](path, json.dumps({**json.loads(known), "a_field_of_the_future": 1}))
    check_refused(FORMATS[suffix][1], path, "damaged: its header")  # the checksum does not cover the new field


def test_the_checksum_has_its_own_format_number():
    """Readers of format 1 reject the checksum as an unknown field; the number lets them say that the format is later."""
    assert json.loads(MADE.to_json())["format"] == FORMAT == 2


def test_a_header_can_store_a_path_that_is_not_utf8(tmp_path):
    text = replace(MADE, inputs={"data": {**INPUTS["data"], "path": "/a/\udcff.h5"}}).to_json()
    assert parse_header(text.encode(), tmp_path).inputs["data"]["path"] == "/a/?.h5"
