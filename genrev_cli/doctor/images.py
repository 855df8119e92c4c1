"""Images that need no data set."""

from pathlib import Path

import numpy as np
import torch

from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.seeds import derive

DISTINCT = 64
"""Number of different images; larger sets repeat them."""
_COARSE = 8
_CLASSES = 10


def smooth_images(n: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Return n smooth random images with a little noise, (n, C, H, W) uint8, equal in every call."""
    channels, height, width = shape
    generator = torch.Generator().manual_seed(derive(0, "doctor", "images"))
    coarse = torch.rand(min(n, DISTINCT), channels, _COARSE, _COARSE, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noisy = smooth + 0.02 * torch.randn(smooth.shape, generator=generator)
    some = noisy.clamp(0, 1).mul(255).round().to(torch.uint8).numpy()
    return np.resize(some, (n, *shape))


def write_images(path: Path, n: int, shape: tuple[int, int, int]) -> Path:
    """Write n images as prepare-data does: 10 classes, four fifths of the images for training."""
    images, split = smooth_images(n, shape), np.zeros(n, np.uint8)
    split[-max(n // 5, 1) :] = 1
    config = {"source": {"name": "doctor"}, "image_shape": list(shape), "counts": {"train": int((split == 0).sum())}}
    arrays = {"images": images, "labels": np.arange(n, dtype=np.int64) % _CLASSES, "split": split}
    with hdf5.writing(path, Header("data", config, "")) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    return path
