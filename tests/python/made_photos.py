"""Photos that tests make."""

import numpy as np
from PIL import Image


def photo(number, size=(30, 40)):
    """A picture of Pillow: a disc on a sloping background, in colour."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[: size[1], : size[0]]
    colours = rng.integers(0, 256, (2, 3))
    inside = ((x - rng.uniform(8, 22)) ** 2 + (y - rng.uniform(8, 22)) ** 2 < 60)[..., None]
    slope = (x / size[0])[..., None]
    return Image.fromarray((inside * colours[0] + ~inside * (slope * colours[1])).astype(np.uint8))
