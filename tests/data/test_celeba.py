import csv
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from genrev_cli.data.celeba import faces, open_celeba, result_size, split_by_number
from genrev_cli.data.celeba_lists import ATTRIBUTES, PARTITION, parse_partition
from genrev_cli.data.pixels import DamagedImage
from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.data.table import read_text
from genrev_cli.errors import FileError
from genrev_cli.files.images import SPLITS
from genrev_cli.progress import SILENT
from genrev_cli.settings.prepare import PrepareConfig

NUMBERS = [1, 162_770, 162_771, 182_637, 182_638, 202_599]
OFFICIAL = [TRAIN, TRAIN, VAL, VAL, TEST, TEST]


def test_the_split_by_number_has_the_official_boundaries():
    assert split_by_number(np.array(NUMBERS)).tolist() == OFFICIAL
    counts = np.bincount(split_by_number(np.arange(1, 202_600)))
    assert counts.tolist() == [162_770, 19_867, 19_962]  # as published


@pytest.mark.parametrize("number", [0, 202_600])
def test_other_numbers_are_refused(number):
    with pytest.raises(FileError, match="use 'folder'"):
        split_by_number(np.array([1, number]))


@pytest.mark.parametrize(
    ("crop", "sides", "shape"),
    [
        ("140", (), (64, 64)),
        ("140", (140,), (140, 140)),
        ("140", (32,), (32, 32)),
        ("140", (48, 64), (64, 48)),
        ("108", (), (64, 64)),
        ("none", (), (218, 178)),
        ("none", (128,), (156, 128)),
        ("none", (89, 109), (109, 89)),
    ],
)
def test_a_crop_shows_only_its_box(encode, crop, sides, shape):
    """The box has one colour and the rest of the picture another."""
    side = 0 if crop == "none" else int(crop)
    pixels = np.zeros((218, 178, 3), np.uint8)
    left, top = (178 - side) // 2, (218 - side) // 2
    pixels[top : top + side, left : left + side] = (10, 120, 250)
    if not side:
        pixels[:] = (10, 120, 250)
    transform = faces(crop, result_size(crop, sides))
    found = transform(encode(pixels))
    assert found.shape == (3, *shape)
    assert transform.size == shape[::-1]
    assert np.array_equal(found, np.broadcast_to(np.array([10, 120, 250])[:, None, None], found.shape))


def test_a_crop_of_140_at_size_140_is_not_resized(encode):
    pixels = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    assert np.array_equal(faces("140", (140, 140))(encode(pixels)), pixels[39:179, 19:159].transpose(2, 0, 1))


def test_images_that_are_not_aligned_faces_are_damaged(encode):
    with pytest.raises(DamagedImage, match="64x64, but the images of this data set have 178x218"):
        faces("140", (64, 64))(encode(np.zeros((64, 64, 3), np.uint8)))


@pytest.fixture
def tiny_celeba(tmp_path, encode):
    """A folder with six faces at the boundaries of the splits, each in its own gray, in img_align_celeba."""
    folder = tmp_path / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    for i, number in enumerate(NUMBERS):
        (folder / f"{number:06}.jpg").write_bytes(encode(np.full((218, 178, 3), 40 * i, np.uint8), "JPEG"))
    (folder / "thumbs.jpg").touch()
    return tmp_path / "celeba"


def partition_text(splits):
    return "".join(f"{number:06}.jpg {split}\n" for number, split in zip(NUMBERS, splits, strict=True))


def to_zip(folder):
    path = folder.parent / "celeba.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.mark.parametrize("form", ["folder", "images", "zip", "download"])
@pytest.mark.parametrize("partition", ["", "inside", "beside"])
def test_celeba_is_read_from_folders_and_zips(tiny_celeba, tmp_path, form, partition):
    shuffled = [2, 1, 0, 2, 1, 0]
    images = tiny_celeba / "img_align_celeba"
    place = {"inside": images if form == "images" else tiny_celeba, "beside": tiny_celeba if form == "images" else tmp_path}
    if partition:
        (place[partition] / PARTITION).write_text(partition_text(shuffled))
    path = {"folder": tiny_celeba, "images": images, "zip": to_zip(tiny_celeba), "download": tiny_celeba}[form]
    if form == "download":  # a folder with the downloaded zip
        path = tmp_path
        to_zip(tiny_celeba).rename(path / "img_align_celeba.zip")
    source = open_celeba(PrepareConfig("celeba", path), SILENT)
    assert source.split.tolist() == (shuffled if partition else OFFICIAL)
    assert source.split_rule == (f"from {PARTITION}, which is not the official one" if partition else "official, by file number")
    (block,) = source.blocks()
    assert block.pixels.shape == (6, *source.image_shape) == (6, 3, 64, 64)
    assert block.pixels[:, 0, 0, 0].tolist() == pytest.approx([0, 40, 80, 120, 160, 200], abs=1)
    assert (source.labels == -1).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("000001.jpg 3\n", "line 1 does not look like"),
        ("000001.jpg 0\nx\n", "line 2 does not look like"),
        ("000001.jpg 0\n", "lacks .*162770.jpg"),
    ],
)
def test_an_invalid_partition_file_is_refused(tiny_celeba, text, message):
    (tiny_celeba / PARTITION).write_text(text)
    with pytest.raises(FileError, match=message):
        open_celeba(PrepareConfig("celeba", tiny_celeba), SILENT)


def test_a_partition_file_may_have_spaces_and_empty_lines():
    assert parse_partition("000001.jpg   2 \n\n000002.jpg 0", "x") == {1: 2, 2: 0}


def test_two_files_with_the_same_number_are_refused(tiny_celeba):
    (tiny_celeba / "img_celeba").mkdir()
    (tiny_celeba / "img_celeba" / "000001.jpg").touch()
    with pytest.raises(FileError, match="pass the folder img_align_celeba only"):
        open_celeba(PrepareConfig("celeba", tiny_celeba), SILENT)


def test_the_error_for_missing_images_says_where_to_get_them(tmp_path):
    with pytest.raises(FileError, match=r"--download, or get img_align_celeba.zip .* from https"):
        open_celeba(PrepareConfig("celeba", tmp_path / "none"), SILENT)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(FileError, match="it is not CelebA; for other images use 'folder'"):
        open_celeba(PrepareConfig("celeba", tmp_path), SILENT)


@pytest.mark.shared_data
def test_split_by_number_is_the_official_partition(shared):
    with zipfile.ZipFile(shared("celeba/celeba6000.zip")) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("index.csv").decode())))
    numbers = np.array([int(row["name"][:6]) for row in rows])
    split = split_by_number(numbers)
    assert np.bincount(split).tolist() == [4560, 780, 660]
    assert [SPLITS[s] for s in split] == [row["official_partition"] for row in rows]


@pytest.mark.shared_data
def test_channel_means_of_the_real_faces(shared):
    source = open_celeba(PrepareConfig("celeba", shared("celeba/celeba6000.zip")), SILENT)
    total = sum(block.pixels.sum((0, 2, 3), dtype=np.int64) for block in source.blocks())
    assert total / (6000 * 64 * 64) == pytest.approx([135.39, 106.76, 91.27], abs=0.01)


def test_crop_140_uses_lanczos_and_crop_108_bicubic(encode):
    pixels = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    for crop, kind in (("140", Image.Resampling.LANCZOS), ("108", Image.Resampling.BICUBIC)):
        side, (left, top) = int(crop), ((178 - int(crop)) // 2, (218 - int(crop)) // 2)
        box = Image.fromarray(pixels[top : top + side, left : left + side]).resize((64, 64), kind)
        assert np.array_equal(faces(crop, (64, 64))(encode(pixels)), np.asarray(box).transpose(2, 0, 1))


# --- lists: the partition and the attributes

TEXT = partition_text(OFFICIAL)
CSV = "image_id,partition\n" + TEXT.replace(" ", ",")


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        b"image_id partition\n" + TEXT.encode(),
        TEXT.replace(" ", "\t").encode(),
        TEXT.upper().encode(),
        CSV.encode(),
        CSV.replace(".jpg", ".png").encode("utf-8-sig"),
        CSV.replace(",0", ",train").replace(",1", ",Val").replace(",2", ",test").encode("utf-16-be"),
        TEXT.replace(" ", ";").replace("\n", "\r").encode(),
        CSV.replace(",", '","').replace("\n", '"\n"').strip('"').encode(),
    ],
)
def test_a_partition_in_any_dress_is_the_same(data):
    assert parse_partition(read_text(data, "x"), "x") == dict(zip(NUMBERS, OFFICIAL, strict=True))


@pytest.mark.parametrize("file", [PARTITION, "list_eval_partition.csv"])
def test_an_edited_partition_is_obeyed_and_named(tiny_celeba, file):
    (tiny_celeba / file).write_text(CSV.replace("162770.jpg,0", "162770.jpg,2"))
    source = open_celeba(PrepareConfig("celeba", tiny_celeba), SILENT)
    assert source.split.tolist() == [TRAIN, TEST, *OFFICIAL[2:]]
    assert source.split_rule == f"from {file}, which is not the official one"


def test_of_two_partitions_the_edited_one_counts(tiny_celeba, notes):
    edited = TEXT.replace("000001.jpg 0", "000001.jpg 1")
    (tiny_celeba / PARTITION).write_text(TEXT)
    (tiny_celeba / "list_eval_partition.csv").write_text(edited.replace(" ", ","))
    source = open_celeba(PrepareConfig("celeba", tiny_celeba), notes)
    assert source.split[0] == VAL
    assert "differ; using list_eval_partition.csv" in notes.notes[0]
    (tiny_celeba / PARTITION).write_text(TEXT.replace("000001.jpg 0", "000001.jpg 2"))
    with pytest.raises(FileError, match="differ; remove one of them"):
        open_celeba(PrepareConfig("celeba", tiny_celeba), SILENT)


LAYOUTS = {
    "Kaggle": ("", "img_align_celeba/img_align_celeba", "list_eval_partition.csv"),
    "Kaggle, outer folder": ("img_align_celeba", "img_align_celeba/img_align_celeba", "list_eval_partition.csv"),
    "Kaggle, inner folder": ("img_align_celeba/img_align_celeba", "img_align_celeba/img_align_celeba", "list_eval_partition.csv"),
    "torchvision": ("", "celeba/img_align_celeba", "celeba/list_eval_partition.txt"),
    "torchvision, zip": ("", "celeba/img_align_celeba.zip", "celeba/list_eval_partition.txt"),
    "torchvision's folder": ("celeba", "celeba/img_align_celeba.zip", "celeba/list_eval_partition.txt"),
    "authors": ("", "Img/img_align_celeba.zip", "Eval/list_eval_partition.txt"),
    "PNG": ("", "img_align_celeba_png", "list_eval_partition.txt"),
    "PNG alone": ("img_align_celeba_png", "img_align_celeba_png", "list_eval_partition.txt"),
    "Kaggle's zip": ("", "archive.zip", "list_eval_partition.csv"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_is_read(tmp_path, encode, layout):
    path, images, partition = LAYOUTS[layout]
    kind = "PNG" if layout.startswith("PNG") else "JPEG"
    files = {f"{number:06}.{'png' if kind == 'PNG' else 'JPG'}": encode(np.full((218, 178, 3), 90, np.uint8), kind) for number in NUMBERS}
    (tmp_path / images).parent.mkdir(parents=True, exist_ok=True)
    if images.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / images, "w") as archive:
            for name, data in files.items():
                archive.writestr(f"img_align_celeba/{name}", data)
                archive.writestr(f"__MACOSX/img_align_celeba/._{name}", b"\0")
    else:
        (tmp_path / images).mkdir()
        for name, data in files.items():
            (tmp_path / images / name).write_bytes(data)
    (tmp_path / partition).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / partition).write_text(CSV.replace("000001.jpg,0", "000001.jpg,1"))
    attributes = tmp_path / partition.replace("eval_partition", "attr_celeba").replace("Eval", "Anno")
    attributes.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{number:06}.jpg,{'-1' if number % 2 else '1'},1\n" for number in NUMBERS[:-1])
    attributes.write_text(f"image_id,Male,Young\n{rows}" if attributes.suffix == ".csv" else f"5\nMale Young\n{rows.replace(',', '  ')}")
    source = open_celeba(PrepareConfig("celeba", tmp_path / path, size="8"), SILENT)
    assert source.split.tolist() == [VAL, *OFFICIAL[1:]]
    assert source.attribute_names == ("Male", "Young")
    assert source.attributes.tolist() == [[0 if number % 2 else 1, 1] for number in NUMBERS[:-1]] + [[-1, -1]]
    assert source.release == ("img_align_celeba_png" if kind == "PNG" else "")
    (block,) = source.blocks()
    assert block.pixels.shape == (6, 3, 8, 8)


def test_attributes_can_be_left_out(tiny_celeba):
    (tiny_celeba / ATTRIBUTES).write_text("1\nMale\n000001.jpg 1\n")
    assert open_celeba(PrepareConfig("celeba", tiny_celeba), SILENT).attribute_names == ("Male",)
    source = open_celeba(PrepareConfig("celeba", tiny_celeba, no_attributes=True), SILENT)
    assert (source.attributes, source.attribute_names) == (None, ())


def test_attributes_follow_the_limit(tiny_celeba):
    (tiny_celeba / ATTRIBUTES).write_text("2\nMale\n000001.jpg 1\n202599.jpg -1\n")
    source = open_celeba(PrepareConfig("celeba", tiny_celeba, limit=2), SILENT)
    assert source.attributes.tolist() == [[1], [-1]]


@pytest.mark.parametrize("text", ["", "1\nMale\n000001.jpg 7\n", "1\nMale\nx 1\n", "000001.jpg\n"])
def test_an_invalid_list_of_attributes_is_refused_with_a_cure(tiny_celeba, text):
    (tiny_celeba / ATTRIBUTES).write_text(text)
    with pytest.raises(FileError, match=rf"{ATTRIBUTES}: .* or pass --no-attributes"):
        open_celeba(PrepareConfig("celeba", tiny_celeba), SILENT)


def test_both_releases_at_once_are_refused(tiny_celeba, encode):
    (tiny_celeba / "img_align_celeba" / "000002.png").write_bytes(encode(np.zeros((218, 178, 3), np.uint8)))
    with pytest.raises(FileError, match="1 PNG and 6 JPEG files"):
        open_celeba(PrepareConfig("celeba", tiny_celeba), SILENT)
