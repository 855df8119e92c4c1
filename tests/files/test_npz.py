"""Broken .npz and .npy files: any exception of numpy, zipfile and the decompressors becomes one sentence."""

import zipfile

import numpy as np
import pytest

from genrev_cli.errors import FileError
from genrev_cli.files.npz import reading_npz

X = np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8)
FLAGS, METHOD = 8, 10  # byte positions in an entry of the archive's directory


def packed(path, method):
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("images.npy", "w") as entry:
        np.save(entry, X)
    return path


def read(path):
    with reading_npz(path) as arrays:
        return arrays["images"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_stream_is_refused(tmp_path, method):
    path = packed(tmp_path / "x.npz", method)
    assert (read(path) == X).all()
    whole = path.read_bytes()
    for start in range(60, len(whole) - 200, 50):  # between the entry's header and the directory
        path.write_bytes(whole[:start] + b"\xff" * 40 + whole[start + 40 :])
        with pytest.raises(FileError, match=f"{path}: not a readable NumPy file, or truncated or damaged .*make it again"):
            read(path)


@pytest.mark.parametrize("header", [b"{", b"01", b"{'descr': 'O'}", b"\xff"])
def test_a_damaged_array_header_is_refused(tmp_path, header):
    path = tmp_path / "x.npy"
    np.save(path, X)
    whole = path.read_bytes()
    path.write_bytes(whole[:10] + header.ljust(117) + b"\n" + whole[128:])
    with pytest.raises(FileError, match="not a readable NumPy file"), reading_npz(path) as arrays:
        arrays["arr_0"]


@pytest.mark.parametrize(("field", "value", "message"), [(FLAGS, 1, "encrypted"), (METHOD, 99, "not supported")])
def test_encrypted_entries_and_unknown_compression_are_refused(tmp_path, field, value, message):
    path = packed(tmp_path / "x.npz", zipfile.ZIP_STORED)
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"PK\x01\x02") + field] = value
    whole[field - 2] = value  # the entry's own header lacks the 2-byte field for the version that made it
    path.write_bytes(whole)
    with pytest.raises(FileError, match=message):
        read(path)
