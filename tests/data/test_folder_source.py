import zipfile

import numpy as np
import pytest
from PIL import Image

from genrev_cli.data.drawn import random_split
from genrev_cli.data.folder import open_folder
from genrev_cli.data.source import TEST, TRAIN, VAL, refuse_damaged
from genrev_cli.data.transform import Transform
from genrev_cli.errors import FileError, UsageError
from genrev_cli.progress import SILENT
from genrev_cli.settings.prepare import PrepareConfig


@pytest.fixture
def tree(tmp_path, encode):
    """A function that writes images, given name → array, gray level, or bytes."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((4, 6), content, np.uint8) if isinstance(content, int) else content
            path.write_bytes(pixels if isinstance(pixels, bytes) else encode(pixels, "JPEG" if path.suffix.lower() == ".jpg" else "PNG"))
        return tmp_path / "photos"

    return write


def read(path, **options):
    source = open_folder(PrepareConfig("folder", path, **options), SILENT)
    blocks = list(source.blocks())
    refuse_damaged([damage for block in blocks for damage in block.damaged], skip=False)
    return source, np.concatenate([block.pixels for block in blocks])


@pytest.mark.parametrize("n", [1, 2, 10, 1797])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_split_has_the_right_sizes_and_depends_only_on_the_seed(n, seed):
    split = random_split(n, 0.1, 0.25, seed)
    assert [(split == part).sum() for part in (VAL, TEST)] == [round(n * 0.1), round(n * 0.25)]
    assert np.array_equal(split, random_split(n, 0.1, 0.25, seed))
    if n > 100:
        assert not np.array_equal(split, random_split(n, 0.1, 0.25, seed + 1))


def test_images_have_natural_order_and_labels_and_other_files_are_noted(tree, notes):
    path = tree({"b/img10.PNG": 10, "b/img9.png": 9, "a/x.png": 1, "a/readme.txt": b"", "a/img.h5": b""})
    source = open_folder(PrepareConfig("folder", path), notes)
    (block,) = source.blocks()
    assert block.pixels[:, 0, 0, 0].tolist() == [1, 9, 10]
    assert source.labels.tolist() == [0, 1, 1]
    assert source.classes == ("a", "b")
    assert source.image_shape == (1, 4, 6)
    assert notes.notes == [f"{path}: ignored 2 files that are not images"]


def test_split_folders_replace_the_random_split(tree):
    source, _ = read(tree({"train/1.png": 1, "val/2.png": 2, "test/3.png": 3}))
    assert source.split.tolist() == [TEST, TRAIN, VAL]  # in the order of the names
    assert source.seed is None


def test_a_random_split_stores_its_seed_and_does_not_depend_on_the_limit(tree):
    path = tree({f"{i}.png": i for i in range(20)})
    whole, _ = read(path, val_fraction=0.2, test_fraction=0.2, split_seed=7)
    part, _ = read(path, val_fraction=0.2, test_fraction=0.2, split_seed=7, limit=5)
    assert np.bincount(whole.split).tolist() == [12, 4, 4]
    assert np.array_equal(part.split, whole.split[:5])
    assert whole.seed == 7


@pytest.mark.parametrize(("colour", "channels", "expected"), [(False, 0, 1), (True, 0, 3), (True, 1, 1), (False, 3, 3)])
def test_channels_are_converted_or_kept(tree, colour, channels, expected):
    files = {"1.png": 5, "2.png": np.full((4, 6, 3), 5, np.uint8) if colour else 5}
    source, pixels = read(tree(files), channels=channels)
    assert pixels.shape == (2, expected, 4, 6)
    assert source.image_shape == (expected, 4, 6)
    assert (pixels == 5).all()


def test_images_of_different_sizes_need_a_size(tree):
    path = tree({f"{i}.png": np.zeros((i + 1, 9), np.uint8) for i in range(7)} | {"z.png": np.zeros((3, 9), np.uint8)})
    with pytest.raises(UsageError, match=r"different sizes: 9x3 \(2\), .* and 2 more; choose one, as in --size 64"):
        read(path)
    assert read(path, size="8")[1].shape == (8, 1, 8, 8)


def test_size_takes_the_largest_centre_square(encode):
    pixels = np.zeros((4, 8), np.uint8)
    pixels[:, 2:6] = 200
    assert (Transform(channels=1, size=(4, 4))(encode(pixels)) == np.full((1, 4, 4), 200)).all()
    assert Transform(channels=1)(encode(pixels)).shape == (1, 4, 8)


@pytest.mark.parametrize("content", [b"", b"nothing like a PNG"])
def test_a_damaged_image_is_an_error_that_names_it(tree, content):
    path = tree({"1.png": 1, "bad.png": content})
    with pytest.raises(FileError, match=r"photos.bad.png: not a usable image .* --skip-damaged"):
        read(path)
    source, pixels = read(path, skip_damaged=True)
    assert len(source) == len(pixels) == 1
    assert [damage.name for damage in source.damaged] == ["bad.png"]


def test_an_orientation_behind_the_pixels_counts_before_they_are_decoded(tree, encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(np.zeros((4, 6), np.uint8), exif=exif)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert read(tree({"late.png": late}))[1].shape == (1, 1, 6, 4)
    with pytest.raises(UsageError, match=r"different sizes: 6x4 \(1\), 4x6 \(1\)"):
        read(tree({"1.png": 0, "late.png": late}))


@pytest.mark.parametrize("options", [{"size": "2", "channels": 1}, {"size": "2"}])
def test_reading_the_headers_first_changes_nothing(tree, options):
    source, pixels = read(tree({"1.png": 1, "2.png": 2}), **options)
    assert pixels[:, 0, 0, 0].tolist() == [1, 2]
    assert source.image_shape == (1, 2, 2)


def test_a_folder_of_only_damaged_images_is_refused(tree):
    with pytest.raises(FileError, match="all 2 images are damaged"):
        read(tree({"1.png": b"", "2.png": b""}), skip_damaged=True)


def test_a_zip_and_a_folder_have_the_same_checksum(tree, tmp_path):
    path = tree({"a/1.png": 1, "b/2.png": 2})
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in path.rglob("*.png"):
            archive.write(file, file.relative_to(path))
    sums = []
    for place in (path, tmp_path / "photos.zip"):
        source, pixels = read(place)
        assert pixels[:, 0, 0, 0].tolist() == [1, 2]
        sums.append(source.checksums())
        list(source.blocks())
        assert source.checksums() == sums[-1]  # a second pass counts nothing twice
    assert sums[0] == sums[1]


def test_a_broken_zip_entry_is_a_damaged_image(tree, tmp_path, encode):
    data = encode(np.zeros((9, 9), np.uint8))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("1.png", data)
    packed = bytearray((tmp_path / "x.zip").read_bytes())
    packed[packed.index(data) + 20] ^= 1
    (tmp_path / "x.zip").write_bytes(packed)
    with pytest.raises(FileError, match=r"x.zip: 1.png: not a usable image \(Bad CRC-32"):
        read(tmp_path / "x.zip")
