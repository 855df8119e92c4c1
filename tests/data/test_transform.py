import json

import numpy as np
import pytest
from PIL import Image

from genrev_cli.data.celeba import faces
from genrev_cli.data.pixels import DamagedImage
from genrev_cli.data.transform import BOX, LARGEST, WHOLE, Transform, from_table, largest_within

TRANSFORMS = {
    "none": Transform(channels=3),
    "values 0 to 4095 become 0 to 255": Transform(channels=1, values=(0, 4095)),
    "values -1 to 1 become 0 to 255; resized to 4x8 (Lanczos)": Transform(channels=1, size=(4, 8), crop=WHOLE, values=(-1.0, 1.0)),
    "largest centre square, resized to 8x8 (Lanczos)": Transform(channels=1, size=(8, 8)),
    "largest centre rectangle, resized to 6x9 (Lanczos)": Transform(channels=3, size=(6, 9)),
    "resized to 4x8 (Lanczos)": Transform(channels=1, size=(4, 8), crop=WHOLE),
    "centre crop 140x140 (left 19, top 39 of 178x218), resized to 64x64 (Lanczos)": faces("140", None),
    "centre crop 108x108 (left 35, top 55 of 178x218), resized to 64x64 (Bicubic)": faces("108", None),
}


@pytest.mark.parametrize(("words", "transform"), TRANSFORMS.items())
def test_a_transform_comes_back_from_its_table_and_is_described_in_words(words, transform):
    assert from_table(json.loads(json.dumps(transform.table()))) == transform
    assert str(transform) == words


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        [],
        {"crop": "largest"},
        {"size": [0, 8]},
        {"size": [8]},
        {"channels": 2},
        {"filter": "?"},
        {"box": ["a", 1]},
        {"values": [5, 1]},
        {"values": 5},
        {"values": [0, float("nan")]},
    ],
)
def test_a_damaged_table_describes_no_transform(wrong):
    sound = Transform(channels=1, size=(8, 8)).table()
    assert from_table({**sound, **wrong} if wrong and "crop" not in wrong else wrong) is None


@pytest.mark.parametrize(
    ("whole", "aspect", "found"),
    [
        ((100, 80), (1, 1), (80, 80)),
        ((100, 80), (48, 64), (60, 80)),
        ((100, 80), (64, 48), (100, 75)),
        ((30, 1000), (4, 1), (30, 8)),
        ((5, 5), (999, 1), (5, 1)),
    ],
)
def test_the_largest_rectangle_of_an_aspect_ratio(whole, aspect, found):
    assert largest_within(whole, aspect) == found


@pytest.mark.parametrize("crop", [LARGEST, BOX, WHOLE])
@pytest.mark.parametrize("size", [(8, 8), (6, 9), (20, 5)])
def test_pictures_of_any_size_come_to_the_shape_of_the_model(encode, crop, size):
    of_sources = Transform(channels=3, size=size, crop=crop, box=(10, 10), source=(16, 12))
    shape = (3, *size[::-1])
    assert of_sources(encode(np.zeros((12, 16, 3), np.uint8))).shape == shape
    picture = np.random.default_rng(0).integers(0, 256, (33, 47), np.uint8)
    with pytest.raises(DamagedImage, match="47x33, but the images of this data set have 16x12"):
        of_sources(encode(picture))
    assert of_sources.for_pictures(shape)(encode(picture)).shape == shape


def test_a_crop_to_another_aspect_ratio_keeps_the_centre_undistorted():
    picture = Image.new("L", (90, 60))
    picture.paste(255, (41, 26, 51, 36))  # a square of 10 pixels in the centre
    small = np.asarray(Transform(channels=1, size=(20, 30)).on(picture))  # crops 40 x 60, then halves
    bright = np.argwhere(small > 127)
    assert small.shape == (30, 20)
    assert (bright.min(0) == (13, 8)).all()
    assert (np.ptp(bright, axis=0) == 4).all()


def test_the_values_of_pictures_apply_to_later_pictures_and_those_of_arrays_do_not(encode):
    twelve = encode(np.full((9, 9), 4095, np.uint16))
    shape = (1, 3, 3)
    assert Transform(channels=1, size=(9, 9), values=(0, 4095)).for_pictures(shape)(twelve).min() == 255
    assert Transform(channels=1, crop=WHOLE, values=(-1, 1)).for_pictures(shape).values is None
