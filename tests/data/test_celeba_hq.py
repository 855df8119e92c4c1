"""CelebA-HQ: numbers, sizes, split, attributes, and the named reference of its images."""

import numpy as np
import pytest

from genrev_cli.cli import commands, main
from genrev_cli.data.celeba_hq import open_celeba_hq
from genrev_cli.data.pixels import DamagedImage
from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.errors import FileError
from genrev_cli.files.images import open_images
from genrev_cli.progress import SILENT
from genrev_cli.scoring.references import PROTOCOLS
from genrev_cli.settings.prepare import PrepareConfig

NUMBERS = [0, 9, 10, 26_999, 27_000, 29_999]


@pytest.fixture
def faces(tmp_path, encode):
    """A function that writes a gray face for each number; its level is the number's place."""

    def write(name="{}.jpg", side=256, folder="CelebA-HQ-img", numbers=NUMBERS):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for i, number in enumerate(numbers):
            path = tmp_path / folder / name.format(number)
            path.write_bytes(encode(np.full((side, side, 3), 40 * i, np.uint8), "PNG" if path.suffix == ".png" else "JPEG"))
        return tmp_path

    return write


def opened(path, **options):
    return open_celeba_hq(PrepareConfig("celeba-hq", path, **options), SILENT)


@pytest.mark.parametrize("name", ["{}.jpg", "{:05}.jpg", "{:06}.png"])
def test_faces_are_read_in_the_order_of_their_numbers(faces, name):
    source = opened(faces(name))
    (block, *rest) = source.blocks()
    levels = [pixels[0, 0, 0] for one in (block, *rest) for pixels in one.pixels]
    assert levels == pytest.approx([0, 40, 80, 120, 160, 200], abs=1)
    assert source.split.tolist() == [TRAIN] * 4 + [TEST] * 2
    assert source.split_rule.startswith("genrev's own: test is 27000 … 29999")
    assert source.image_shape == (3, 256, 256)
    assert str(source.transform) == "none" == PROTOCOLS["celebahq256"].transform


@pytest.mark.parametrize(("size", "shape"), [("", (3, 256, 256)), ("64", (3, 64, 64)), ("48x64", (3, 64, 48))])
def test_larger_faces_are_resized_and_never_match_the_reference(faces, size, shape):
    source = opened(faces(side=300), size=size)
    assert source.image_shape == shape
    assert str(source.transform) != PROTOCOLS["celebahq256"].transform


def test_all_faces_have_one_size(faces):
    source = opened(faces() and faces(side=128, numbers=[10]))
    assert "128x128, but the images of this data set have 256x256" in [d.reason for b in source.blocks() for d in b.damaged]
    with pytest.raises(DamagedImage):
        source.transform((source.container.path / "CelebA-HQ-img" / "10.jpg").read_bytes())


def test_masks_are_no_faces_and_the_attributes_are_read(faces, tmp_path, encode):
    faces()
    (tmp_path / "CelebAMask-HQ-mask-anno" / "0").mkdir(parents=True)
    for name in ("00000_hair.png", "00000.png"):
        (tmp_path / "CelebAMask-HQ-mask-anno" / "0" / name).write_bytes(encode(np.zeros((8, 8), np.uint8)))
    rows = "".join(f"{number}.jpg  {1 if number % 2 else -1} 1\n" for number in NUMBERS)
    (tmp_path / "CelebAMask-HQ-attribute-anno.txt").write_text(f"6\nMale Young \n{rows}")
    source = opened(tmp_path)
    assert source.attribute_names == ("Male", "Young")
    assert source.attributes.tolist() == [[number % 2, 1] for number in NUMBERS]
    assert opened(tmp_path, no_attributes=True).attributes is None
    assert len(opened(tmp_path, limit=2).attributes) == len(opened(tmp_path, limit=2)) == 2


def test_a_split_file_replaces_the_split(faces, tmp_path):
    (tmp_path / "s.csv").write_text("0.jpg,train\n9.jpg,val\n10.jpg,test\n")
    source = opened(faces(), split_file=tmp_path / "s.csv")
    assert source.split.tolist() == [TRAIN, VAL, TEST]
    assert source.split_rule == "from s.csv"


@pytest.mark.parametrize(
    ("numbers", "name", "message"),
    [
        ([1], "face{}.jpg", "has no 0.jpg … 29999.jpg, so it is not CelebA-HQ"),
        ([1, 30_000], "{}.jpg", "numbers are 0 … 29999, but it has .*30000.jpg"),
    ],
)
def test_other_images_are_refused(faces, numbers, name, message):
    with pytest.raises(FileError, match=message):
        opened(faces(name, 8, numbers=numbers))


def test_a_number_in_two_files_is_refused(faces):
    with pytest.raises(FileError, match=r"has both .*0\.jpg and .*00\.jpg; pass the folder with one"):
        opened(faces(numbers=[0]) and faces("{:02}.jpg", numbers=[0]))


def test_the_command_and_the_reference(faces, tmp_path, monkeypatch, capsys):
    commands.arrange()
    monkeypatch.chdir(tmp_path)
    faces()
    assert main(["prepare-data", "celeba-hq", "--path", "CelebA-HQ-img", "--out", "data/celebahq256.h5"]) == 0
    assert open_images(tmp_path / "data" / "celebahq256.h5").header.config["source"]["name"] == "celeba-hq"
    assert "split: genrev's own: test is 27000 … 29999" in capsys.readouterr().err
    assert main(["fid", "data/celebahq256.h5", "--ref", "celebahq256", "--features", "pixel"]) == 3
    assert "its number of 'all' images is 6, not 30000" in capsys.readouterr().err
