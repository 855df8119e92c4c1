"""Samples beside their nearest training images, for images whose neighbours are known."""

from dataclasses import replace

import numpy as np
import pytest
from fid_files import Notes

from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.files.images import open_images
from genrev_cli.files.pictures import grid, pixels_digest, write_picture
from genrev_cli.files.samples import writing_samples
from genrev_cli.files.sheets import sheet, tiles_of
from genrev_cli.report.chain import Record
from genrev_cli.report.material import Material, Picture
from genrev_cli.report.pictures import figures
from genrev_cli.scoring import nearest_pictures as module
from genrev_cli.scoring.nearest_pictures import SHOWN, nearest_pictures


@pytest.fixture
def prepared(write_images, tmp_path):
    path = write_images(tmp_path / "data.h5", shape=(1, 6, 6), counts=(40, 4, 9))
    return Record(path, hdf5.read_header(path))


def split_of(data, name):
    images = open_images(data.path)
    return images.read(images.rows(name))


def picture(path, tiles, **config):
    """A grid of samples with names of its rows, as `genrev sample --grid` writes it; a report shows it without the names."""
    pixels, layout = sheet(tiles, 3, scale=12, rows=[f"row {row}" for row in range(-(-len(tiles) // 3))])
    header = Header("picture", {"shows": "samples", "layout": layout, **config}, pixels_digest(pixels))
    write_picture(path, pixels, header)
    return Picture(Record(path, header), grid(tiles, 3))


def changed(images, level):
    """The images with one pixel changed by `level`, up or down."""
    out = images.astype(int)
    out[:, 0, 0, 0] += np.where(out[:, 0, 0, 0] < 128, level, -level)
    return out.astype(np.uint8)


@pytest.mark.parametrize("block", [1, 7, 40])
def test_copies_are_found(prepared, tmp_path, monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK_VALUES", 36 * block)
    train, test = split_of(prepared, "train"), split_of(prepared, "test")
    tiles = np.concatenate([train[[5, 30]], changed(train[[11]], 60)])
    (found,) = nearest_pictures([picture(tmp_path / "a.png", tiles, n=3)], prepared, Notes())
    apart = np.linalg.norm((tiles[:, None].astype(float) - train).reshape(3, 40, -1), axis=2)
    order = np.argsort(apart, axis=1)[:, :3]
    assert order[:, 0].tolist() == [5, 30, 11]
    assert (found.pixels == grid(np.concatenate([tiles, *train[order.T]]), 3)).all()
    usual = np.linalg.norm((test[:, None].astype(float) - train).reshape(9, 40, -1), axis=2).min(1) / 255 / 6
    (of_samples, distances), (_, median) = found.numbers.items()
    assert distances == [0, 0, pytest.approx(60 / 255 / 6, rel=1e-2)]
    assert median == pytest.approx(np.median(usual), rel=1e-12)
    ((group, (figure,)),) = figures(Material([], [found]))
    assert (group, figure.title) == ("Samples", "Samples beside training images")
    assert figure.rows.startswith("Rows from top to bottom: samples, their nearest training images, the second nearest")
    assert figure.facts[0] == f"{of_samples} 0, 0, {distances[2]:g}"


def test_every_picture_of_samples_has_its_own(prepared, tmp_path):
    """From one reading of the training images: a file of samples, a grid of them, but not the picture of reconstructions."""
    train = split_of(prepared, "train")
    with writing_samples(tmp_path / "s.h5", (12, 1, 6, 6), Header("samples", {"n": 12}, "")) as writer:
        writer.add(train[20:32])
    header = hdf5.read_header(tmp_path / "s.h5")
    samples = Record(tmp_path / "s.h5", replace(header, config={"shows": "samples", **header.config}))
    others = picture(tmp_path / "r.png", train[:3])
    others.record.header.config["shows"] = "reconstructions"
    given = [Picture(samples, grid(train[20:32], 8)), others, picture(tmp_path / "g.png", train[:2], n=2)]
    found = nearest_pictures(given, prepared, Notes())
    assert [one.record.path.name for one in found] == ["s.h5", "g.png"]
    layout = {"scale": 6, "gap": 3, "left": 0, "top": 0, "tile": [6, 6]}
    for one, wanted, columns in zip(found, (train[20:28], train[:2]), (SHOWN, 2), strict=True):
        rows = tiles_of(one.pixels, {**layout, "columns": columns})
        assert (rows[:columns] == wanted).all()
        assert (rows[columns : 2 * columns] == wanted).all()
        assert next(iter(one.numbers.values())) == [0] * columns


def test_images_of_another_shape_or_model_are_noted(prepared, tmp_path):
    notes, train = Notes(), split_of(prepared, "train")
    assert nearest_pictures([picture(tmp_path / "a.png", train[:3, :, :5])], prepared, notes) == []
    assert "a.png: is of a model of other images than" in notes
    model = {"kind": "checkpoint", "path": "m.safetensors", "config": {}, "sha256": "1" * 64, "step": 1, "made_by": {}, "format": 2}
    own = picture(tmp_path / "b.png", train[:3])
    for sha256, count in ((prepared.header.sha256, 1), ("2" * 64, 0)):
        data = {**prepared.header.as_input(prepared.path), "sha256": sha256}
        own.record.header.inputs["ckpt"] = {**model, "inputs": {"data": data}}
        assert len(nearest_pictures([own], prepared, notes)) == count
    assert "b.png: is of a model of other images than" in notes


def test_without_images_that_were_not_trained_on(write_images, tmp_path):
    path = write_images(tmp_path / "d.h5", shape=(1, 6, 6), counts=(5, 0, 0))
    data = Record(path, hdf5.read_header(path))
    (found,) = nearest_pictures([picture(tmp_path / "a.png", split_of(data, "train")[:2], n=2)], data, Notes())
    assert len(found.numbers) == 1
