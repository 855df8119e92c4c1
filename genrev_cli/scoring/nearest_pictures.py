"""Show samples beside their nearest training images, to see whether a model repeats them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genrev_cli.files.images import SPLITS, ImageSet, open_images
from genrev_cli.files.pictures import grid
from genrev_cli.files.sheets import read_tiles
from genrev_cli.metrics.memorisation import nearest
from genrev_cli.progress import Progress
from genrev_cli.report.chain import Record, checkpoint_of
from genrev_cli.report.material import Picture
from genrev_cli.scoring.images import open_image_input
from genrev_cli.store.showing import drawn_at_random

SHOWN, NEIGHBOURS = 8, 3
HELD_OUT = 64
"""Number of images that were not trained on whose distances show what is usual."""
SHOWS = "samples beside training images: samples, their nearest training images, the second nearest, the third nearest"

_BLOCK_VALUES = 1 << 23
"""Numbers of training images that are float64 at a time: 64 MB."""


def nearest_pictures(pictures: Sequence[Picture], data: Record, progress: Progress) -> list[Picture]:
    """Return a picture for each of `pictures` that shows samples of a model trained on `data`, (C, H, W) uint8, and note the others.

    Its columns are the first 8 samples, each above its 3 nearest training images. Distances are root mean square differences of pixels in
    [0, 1]; that of 64 images of the split test, else val, is beside those of the samples. Raises FileError if a file is damaged.
    """
    images = open_images(data.path)
    shown = [(picture, tiles) for picture in pictures if len(tiles := _samples(picture, images, data, progress))]
    train = np.flatnonzero(images.split == SPLITS.index("train"))
    if not shown or len(train) < NEIGHBOURS:
        return []
    others = _held_out(images)
    points = np.concatenate([*(tiles for _, tiles in shown), others])
    places, distances = _nearest_rows(points, images, train, progress)
    usual = {"median of images that were not trained on": float(np.median(distances[-len(others) :, 0]))} if len(others) else {}
    made: list[Picture] = []
    for picture, tiles in shown:
        own, distances = distances[: len(tiles)], distances[len(tiles) :]
        near, places = images.read(places[: len(tiles)].T.ravel()), places[len(tiles) :]
        numbers = {"root mean square differences from the nearest": [float(f"{value:.3g}") for value in own[:, 0]], **usual}
        header = replace(picture.record.header, config={**picture.record.header.config, "shows": SHOWS, "numbers": numbers})
        made.append(Picture(Record(picture.record.path, header), grid(np.concatenate([tiles, near]), len(tiles))))
    return made


def _samples(picture: Picture, images: ImageSet, data: Record, progress: Progress) -> np.ndarray:
    """Return up to 8 samples of a picture or of its file, (n, C, H, W) uint8; n = 0 if it has none that can be compared with `images`."""
    record, config = picture.record, picture.record.header.config
    none = np.empty((0, *images.image_shape), np.uint8)
    if not picture.shows.startswith("samples"):
        return none
    count = min(SHOWN, config.get("n", SHOWN))
    if record.header.kind == "samples":
        first = open_image_input(record.path, "all", count, progress)
        tiles = np.concatenate(list(first.blocks()))
    elif "layout" in config:
        tiles = read_tiles(record.path, config["layout"])[:count]
    else:
        return none
    model = checkpoint_of(record)
    trained_on = model.inputs.get("data") if model else None
    if tiles.shape[1:] != images.image_shape or (trained_on and trained_on.header.sha256 != data.header.sha256):
        progress.note(f"{record.path}: is of a model of other images than {data.path}, so no training images are shown beside its samples")
        return none
    return tiles


def _held_out(images: ImageSet) -> np.ndarray:
    """Return up to 64 images of the split test, else val, drawn at random; n = 0 if there are none."""
    rows = next((found for name in ("test", "val") if len(found := np.flatnonzero(images.split == SPLITS.index(name)))), np.arange(0))
    return images.read(rows[drawn_at_random(len(rows), HELD_OUT, 0)])


def _nearest_rows(points: np.ndarray, images: ImageSet, rows: np.ndarray, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the nearest images among `rows` for each of `points` (n, C, H, W), and their distances: (n, 3) each."""
    flat = points.reshape(len(points), -1) / 255
    found, distances = np.empty((len(points), 0), np.int64), np.empty((len(points), 0))
    with progress.task("nearest training images", len(rows)) as bar:
        step = max(NEIGHBOURS, _BLOCK_VALUES // flat.shape[1])
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            pixels = images.read(block).reshape(len(block), -1) / 255
            places, apart = nearest(flat, pixels, min(NEIGHBOURS, len(block)))
            found, distances = np.concatenate([found, block[places]], 1), np.concatenate([distances, apart], 1)
            order = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
            found, distances = np.take_along_axis(found, order, 1), np.take_along_axis(distances, order, 1)
            bar.advance(len(block))
    return found, distances / flat.shape[1] ** 0.5
