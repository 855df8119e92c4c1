"""Pictures of tiles with labels: the tiles come back unchanged, labels are ink on white outside of them, and small tiles are refused."""

import numpy as np
import pytest

from genrev_cli.errors import UsageError
from genrev_cli.files.sheets import LEAST_SIDE, sheet, tiles_of

ROWS, HEADS = ("original", "restricted\n8 of 64"), ("0", "1", "a very long name of a column")


def tiles(shape, n=6):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (1, 28, 28), (3, 24, 40), (1, 100, 9)])
@pytest.mark.parametrize("scale", [0, 1, 3])
@pytest.mark.parametrize("named", [True, False])
def test_the_tiles_of_a_picture_come_back(shape, scale, named):
    given = tiles(shape)
    if named and 0 < scale * min(shape[1:]) < 16:
        with pytest.raises(UsageError, match=r"--scale .* too small for labels; .*--no-labels"):
            sheet(given, 3, scale=scale, rows=ROWS, heads=HEADS)
        return
    picture, layout = sheet(given, 3, scale=scale, rows=ROWS if named else (), heads=HEADS if named else ())
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(tiles_of(picture, layout), given)
    assert min(shape[1:]) * layout["scale"] >= (LEAST_SIDE if not scale else 1)


def test_labels_stand_in_the_margins():
    """Each row and column has ink beside it, also the corner; a long name does not reach its neighbour."""
    given = np.full((6, 1, 8, 8), 128, np.uint8)
    picture, layout = sheet(given, 3, rows=ROWS, heads=HEADS, corner="image")
    left, top = layout["left"], layout["top"]
    assert ((picture[0, top:, :left] < 200).any(1)).sum() > 20  # rows of pixels with ink: three lines of text
    for column in range(3):
        begin = left + column * (64 + layout["gap"])
        assert (picture[0, :top, begin : begin + 64] < 200).any()
        assert (picture[0, :top, begin : begin + layout["gap"]] > 200).all()
    assert (picture[0, :top, :left] < 200).any()
    assert sheet(given, 3, rows=ROWS)[1]["top"] == 0
    assert sheet(given, 3, heads=HEADS)[1]["left"] == 0


def test_a_row_that_is_not_full_is_filled_with_white():
    picture, layout = sheet(tiles((1, 8, 8), 5), 3)
    found = tiles_of(picture, layout)
    assert (len(found), found[5].min()) == (6, 255)


@pytest.mark.parametrize(
    "change", [{"scale": 0}, {"columns": 4}, {"tile": [9, 8]}, {"tile": []}, {"left": -1}, {"gap": "1"}, {"top": 10**9}, {"tile": [0, 0]}]
)
def test_a_layout_that_does_not_fit_is_an_error(change):
    picture, layout = sheet(tiles((1, 8, 8)), 3, rows=ROWS)
    with pytest.raises(ValueError, match="layout|is|unpack"):
        tiles_of(picture, {**layout, **change})


def test_letters_that_the_font_lacks_are_replaced():
    """Pillow's own font has no Greek; the picture must not have empty boxes."""
    greek, plain = (sheet(tiles((1, 8, 8)), 6, rows=(name,))[0] for name in ("é σ", "e ?"))
    np.testing.assert_array_equal(greek, plain)


def test_a_number_is_not_shortened():
    """-2.25 sd is wider than a tile of 28 pixels, and -2.2… would be another number: every second name is left out."""
    picture, layout = sheet(tiles((1, 28, 28)), 6, scale=1, rows=("x",), heads=[f"-{i}.25 sd" for i in range(6)])
    ink = [(picture[0, : layout["top"], layout["left"] + 29 * i + 8 : layout["left"] + 29 * i + 22] < 200).any() for i in range(6)]
    assert ink == [True, False, True, False, True, False]
