"""Prepare pictures as scripts with torchvision do: {folder, out, side, workers} → an array (N, 3, side, side) uint8 in `out` (.npy)."""

import numpy as np
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from genrev_cli.bench.tasks.words import arguments

BATCH = 256


def main(*, folder: str, out: str, side: int, workers: int) -> None:
    """Write the array."""
    resize = transforms.Resize(side, transforms.InterpolationMode.LANCZOS)
    data = datasets.ImageFolder(folder, transforms.Compose([resize, transforms.CenterCrop(side), transforms.PILToTensor()]))
    pixels = np.empty((len(data), 3, side, side), np.uint8)
    for number, (images, _) in enumerate(DataLoader(data, BATCH, num_workers=workers)):
        pixels[number * BATCH : number * BATCH + len(images)] = images.numpy()
    np.save(out, pixels)


if __name__ == "__main__":
    main(**arguments())
