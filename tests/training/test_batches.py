"""Batches are a pure function of (seed, step), with images on the device and with images in the file."""

from contextlib import closing

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.images import open_images
from genrev_cli.shapes import to_float, to_pixels
from genrev_cli.training.batches import Batches, Order


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=st.integers(1, 12), seed=st.integers(0, 3), start=st.integers(0, 40), count=st.integers(1, 40))
def test_order_is_a_stream(rows, seed, start, count):
    """Any part equals the same part of the whole stream, in any order of calls."""
    order = Order(rows, seed)
    part = order(start, count)
    assert part.dtype == torch.int64
    stream = torch.cat([Order(rows, seed)(epoch * rows, rows) for epoch in range((start + count) // rows + 1)])
    assert torch.equal(part, stream[start : start + count])
    assert torch.equal(part, order(start, count))


@pytest.mark.parametrize("rows", [1, 2, 17])
def test_order_covers_every_epoch_once(rows):
    order = Order(rows, seed=5)
    for epoch in range(20):
        assert order(epoch * rows, rows).sort().values.tolist() == list(range(rows))


def test_order_differs_between_epochs_and_seeds():
    orders = [tuple(Order(50, seed)(epoch * 50, 50).tolist()) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9


@pytest.fixture
def batches(data):
    """Return a function resident → batches of 8 from the training split."""
    opened = []

    def make(resident, seed=0, batch=8):
        made = Batches(
            open_images(data), "train", batch=batch, seed=seed, device=torch.device("cpu"), resident_megabytes=64 if resident else 0
        )
        opened.append(made)
        return made

    yield make
    for made in opened:
        made.close()


@pytest.mark.parametrize("steps", [range(8), (5, 0, 3, 3, 4)])
def test_streamed_equals_resident(batches, steps):
    resident, streamed = batches(True), batches(False)
    assert len(resident) == len(streamed) == 22
    for step in steps:
        (x, labels), (y, others) = resident(step), streamed(step)
        assert x.shape == (8, 1, 8, 8)
        assert torch.equal(x, y)
        assert torch.equal(labels, others)


@pytest.mark.parametrize("resident", [True, False])
def test_an_epoch_is_the_split(batches, data, resident):
    """11 batches of 8 are 4 epochs of 22: every training image comes four times, with its label."""
    images, found = open_images(data), batches(resident)
    rows = images.rows("train")
    expected = sorted(
        (image.tobytes(), label) for image, label in zip(images.read(rows), images.labels[rows], strict=True) for _ in range(4)
    )
    drawn = [found(step) for step in range(11)]
    assert sorted((to_pixels(x).numpy().tobytes(), y.item()) for xs, ys in drawn for x, y in zip(xs, ys, strict=True)) == expected


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("batch", [5, 22, 100])
def test_passes_go_through_the_file_once(batches, data, resident, batch):
    images = open_images(data)
    parts, labels = zip(*batches(resident).passes(batch), strict=True)
    assert all(len(part) <= batch for part in parts)
    assert torch.equal(torch.cat(parts), to_float(torch.from_numpy(images.read(images.rows("train")))))
    assert torch.equal(torch.cat(labels), torch.from_numpy(images.labels[images.rows("train")]))


def test_a_batch_larger_than_the_split(batches):
    x, labels = batches(True, batch=100)(0)
    assert len(x) == len(labels) == 100


def test_a_split_that_is_empty(tmp_path, write_images):
    images = open_images(write_images(tmp_path / "a.h5", counts=(0, 2, 2)))
    with pytest.raises(UsageError, match="no images in split 'train'"):
        Batches(images, "train", batch=1, seed=0, device=torch.device("cpu"), resident_megabytes=1)


def test_a_damaged_image_is_a_file_error_while_streaming(data):
    with h5py.File(data) as file:
        chunk = file["images"].id.get_chunk_info(0)
    content = bytearray(data.read_bytes())
    content[chunk.byte_offset + 100] ^= 1
    data.write_bytes(content)
    streamed = Batches(open_images(data), "train", batch=8, seed=0, device=torch.device("cpu"), resident_megabytes=0)
    with closing(streamed), pytest.raises(FileError, match=r"data\.h5: damaged"):
        streamed(0)


def test_pixels_are_the_same_after_float_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    images = to_float(pixels)
    assert (images.min(), images.max(), images.dtype) == (0, 1, torch.float32)
    assert torch.equal(to_pixels(images), pixels)
    assert to_pixels(torch.tensor([-1.0, 2.0, 0.5019, np.nextafter(1, 0)])).tolist() == [0, 255, 128, 255]
