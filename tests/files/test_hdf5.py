"""HDF5 files: writing in blocks, damage, and reading rows in any order."""

import signal

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.codes import open_codes
from genrev_cli.files.header import Header, array_digest, content_digest
from genrev_cli.files.images import open_images, read_rows
from genrev_cli.files.pictures import grid, read_picture, to_pil, write_picture

ARRAY = np.random.default_rng(0).integers(0, 256, (300, 2, 16, 16), np.uint8)  # 150 KB: three chunks


def write(path, *blocks, rows=None):
    with hdf5.writing(path, Header("samples", {}, "")) as writer:
        writer.create("images", (rows or len(ARRAY), *ARRAY.shape[1:]), "uint8")
        start = 0
        for block in blocks:
            writer.write("images", start, block)
            start += len(block)
        writer.truncate("images", start)
    return path


def test_the_file_does_not_depend_on_the_blocks(tmp_path):
    whole, pieces = write(tmp_path / "a.h5", ARRAY), write(tmp_path / "b.h5", ARRAY[:7], ARRAY[7:150], ARRAY[150:], rows=1000)
    digest = content_digest({"images": array_digest("uint8", ARRAY.shape, [ARRAY])})
    for path in (whole, pieces):
        with hdf5.reading(path) as (header, file):
            np.testing.assert_array_equal(file["images"], ARRAY)
            assert header.sha256 == digest
            assert file["images"].chunks[0] < len(ARRAY)
        assert hdf5.read_digest(path) == digest


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), hdf5.writing(tmp_path / "a.h5", Header("samples", {}, "")) as writer:
        writer.create("images", ARRAY.shape, "uint8")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_inside_the_library_is_raised_after_it(tmp_path, monkeypatch):
    """HDF5 calls Python to write, and crashes if an exception passes through it."""
    write, written = hdf5._DeferredErrorFile.write, []

    def interrupted(self, data):
        signal.raise_signal(signal.SIGINT)
        written.append(write(self, data))
        return written[-1]

    monkeypatch.setattr(hdf5._DeferredErrorFile, "write", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), hdf5.writing(tmp_path / "a.h5", Header("samples", {}, "")) as writer:
            writer.create("images", (4096, 64, 64), "uint8")
            writer.write("images", 0, np.zeros((4096, 64, 64), np.uint8))
    finally:
        signal.signal(signal.SIGINT, before)
    assert written
    assert list(tmp_path.iterdir()) == []


def test_a_header_can_have_any_length(tmp_path):
    """The chain of inputs can exceed 64 KB, HDF5's default limit for an attribute."""
    long = Header("samples", {"text": "x" * 200_000}, "")
    with hdf5.writing(tmp_path / "a.h5", long):
        """No arrays."""
    assert hdf5.read_header(tmp_path / "a.h5").config == long.config


@pytest.mark.parametrize("where", [0, 0.5, 0.999])
def test_a_flipped_byte_in_a_chunk_is_noticed(tmp_path, where):
    path = write(tmp_path / "a.h5", ARRAY)
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(int(where * file["images"].id.get_num_chunks()))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + int(where * (chunk.size - 5))] ^= 1
    path.write_bytes(content)
    assert hdf5.read_header(path).kind == "samples"
    with pytest.raises(FileError, match=r"a\.h5: damaged"):
        hdf5.read_digest(path)


def test_a_flipped_byte_anywhere_is_noticed_or_harmless(data):
    """If any byte of a prepared set is wrong, the images are unchanged or a FileError is raised."""
    whole = data.read_bytes()
    images = open_images(data)
    pixels = images.read(images.rows("all"))
    for position in range(0, len(whole), max(1, len(whole) // 200)):
        data.write_bytes(whole[:position] + bytes([whole[position] ^ 0x21]) + whole[position + 1 :])
        try:
            found = open_images(data)
            read = found.read(found.rows("all"))
        except FileError:
            continue
        np.testing.assert_array_equal(read, pixels, err_msg=f"byte {position}")
        np.testing.assert_array_equal(found.labels, images.labels, err_msg=f"byte {position}")
        np.testing.assert_array_equal(found.split, images.split, err_msg=f"byte {position}")


def test_an_open_file_that_becomes_shorter_is_damaged(tmp_path):
    """The library itself reads zeros after the end, and zero is their correct checksum."""
    path = write(tmp_path / "a.h5", ARRAY)
    with pytest.raises(FileError, match="damaged: a part of it cannot be read back.* bytes, but had "), hdf5.reading(path) as (_, file):
        array = file["images"]
        chunk = array.id.get_chunk_info(array.id.get_num_chunks() - 1)  # this also loads the table of chunks
        with path.open("r+b") as raw:
            raw.seek(chunk.byte_offset)
            raw.write(bytes(chunk.size))  # zeros, as the library reads after the end
            raw.truncate(path.stat().st_size - 1)
        assert not array[-1].any()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 29), max_size=40))
def test_rows_are_read_in_the_given_order(rows):
    array = np.arange(90).reshape(30, 3)
    with h5py.File.in_memory() as file:
        file.create_dataset("a", data=array, chunks=(4, 3))
        np.testing.assert_array_equal(read_rows(file["a"], np.array(rows, np.int64)), array[rows] if rows else array[:0])


def test_consecutive_rows_are_read_at_once():
    class Counting:
        shape, dtype, reads = (30, 2), np.dtype(int), 0

        def __getitem__(self, part):
            self.reads += 1
            return np.arange(60).reshape(30, 2)[part]

    array = Counting()
    read_rows(array, np.array([9, 3, 4, 5, 8]))
    assert array.reads == 2


def test_splits_are_disjoint_and_complete(data):
    images = open_images(data)
    assert [len(images.rows(split)) for split in ("train", "val", "test", "all")] == [22, 5, 3, 30]
    assert sorted(np.concatenate([images.rows(split) for split in ("train", "val", "test")])) == list(range(30))
    with pytest.raises(UsageError, match="--split valid: choose one of train, val, test or all"):
        images.rows("valid")


def test_the_error_for_a_missing_split_names_the_others(tmp_path, write_images):
    images = open_images(write_images(tmp_path / "a.h5", counts=(4, 0, 2)))
    with pytest.raises(UsageError, match="has no images in split 'val'; choose --split train or --split test"):
        images.rows("val")


@pytest.mark.parametrize(("opened", "kind", "maker"), [(open_images, "data", "prepare-data"), (open_codes, "codes", "encode")])
def test_wrong_kinds_and_missing_arrays_are_refused(tmp_path, opened, kind, maker):
    with pytest.raises(FileError, match=f"of kind 'samples', but '{kind}' is needed; make one with 'genrev {maker}'"):
        opened(write(tmp_path / "a.h5", ARRAY))
    with hdf5.writing(tmp_path / "b.h5", Header(kind, {"source": {"name": "digits"}, "image_shape": [1, 8, 8], "dim": 1}, "")) as writer:
        writer.create("labels", (3,), "int64")
    with pytest.raises(FileError, match=f"damaged.*missing; run 'genrev {maker}' again"):
        opened(tmp_path / "b.h5")


def test_codes_are_read_back_unchanged(tmp_path):
    codes = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    with hdf5.writing(tmp_path / "a.h5", Header("codes", {"dim": 3}, "")) as writer:
        for name, array in {"codes": codes, "labels": np.arange(5), "rows": np.arange(5) * 2}.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    found = open_codes(tmp_path / "a.h5")
    for array, expected in ((found.codes, codes), (found.labels, np.arange(5)), (found.rows, np.arange(5) * 2)):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("name", ["codes", "labels", "rows"])
def test_codes_must_match_the_digest_in_their_header(tmp_path, name):
    """Every chunk here has a correct checksum, as if damaged tables of HDF5 led to the wrong chunks."""
    arrays = {"codes": np.eye(4, dtype=np.float32), "labels": np.arange(4), "rows": np.arange(4)}
    with hdf5.writing(tmp_path / "a.h5", Header("codes", {"dim": 4}, "")) as writer:
        for key, array in arrays.items():
            writer.create(key, array.shape, str(array.dtype))
            writer.write(key, 0, array)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file[name][:2] = file[name][:2][::-1]
    with pytest.raises(FileError, match=r"a\.h5: damaged: its content does not match the checksum in its header"):
        open_codes(tmp_path / "a.h5")


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_read_back_exactly(tmp_path, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), np.uint8)
    write_picture(tmp_path / "a.png", pixels, Header("picture", {}, ""))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png")[1], pixels)
    assert to_pil(pixels).size == (7, 5)


def test_a_grid_places_and_magnifies_tiles():
    """Two columns of 32×32 tiles with white gaps of one pixel; with three tiles, the fourth place is white."""
    tiles = np.stack([np.full((1, 32, 32), value, np.uint8) for value in (10, 20, 30)])
    picture = grid(tiles, 2)
    assert picture.shape == (1, 67, 67)
    for value, top, left in ((10, 1, 1), (20, 1, 34), (30, 34, 1), (255, 34, 34)):
        assert (picture[0, top : top + 32, left : left + 32] == value).all()
    assert (picture[0, [0, 33, 66]] == 255).all()
    assert (picture[0, :, [0, 33, 66]] == 255).all()
    assert grid(tiles[:, :, ::4, ::4], 3).shape == (1, 36, 104)  # 8×8 magnified ×4, gaps of 2
